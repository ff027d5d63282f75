"""A process that captions by another captioner, of the very sizes of a published one.

    python -m benchmarks.other_model KIND DATA_TYPE THREADS SCALE

Needs `transformers`, and no network: it is built from its configuration, so its weights are random.
What it writes makes no sense and takes as long as what the published one would, since every
caption is made to have as many tokens as a usual one. Knows how one picture becomes tokens; knows
neither the clock nor words.

It prints how many parameters it has; then, for each line that says how many bytes of a picture
follow on stdin, how many tokens it wrote.
"""

import io
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image

__all__ = ["BEAM", "KINDS", "SCALES", "TOKENS", "Scale"]

BEAM = 3
TOKENS = 11  # Unrolled's captions of the photographs have as many steps on average


@dataclass(frozen=True)
class Scale:
    """The sizes of the transformers, encoder and decoder alike."""

    hidden_size: int = 768
    layers: int = 12
    heads: int = 12


SCALES = {"published": Scale(), "tiny": Scale(16, 1, 2)}


@dataclass(frozen=True)
class OtherModel:
    """A model with `generate`, and how a picture is put before it."""

    network: Any
    size: int
    resampling: int  # of Pillow
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]


def make_blip(scale: Scale) -> OtherModel:
    """Make BLIP-base as in Salesforce/blip-image-captioning-base."""
    from transformers import BlipConfig, BlipForConditionalGeneration  # noqa: PLC0415 - optional

    sizes = {
        "hidden_size": scale.hidden_size,
        "intermediate_size": 4 * scale.hidden_size,
        "num_hidden_layers": scale.layers,
        "num_attention_heads": scale.heads,
    }
    config = BlipConfig(
        text_config=sizes | {"vocab_size": 30524, "encoder_hidden_size": scale.hidden_size},
        vision_config=sizes | {"image_size": 384, "patch_size": 16},
    )
    return OtherModel(
        BlipForConditionalGeneration(config),
        384,
        Image.Resampling.BICUBIC,
        (0.48145466, 0.4578275, 0.40821073),
        (0.26862954, 0.26130258, 0.27577711),
    )


def make_vit_gpt2(scale: Scale) -> OtherModel:
    """Make ViT-GPT2 as in nlpconnect/vit-gpt2-image-captioning."""
    from transformers import (  # noqa: PLC0415
        GPT2Config,
        VisionEncoderDecoderConfig,
        VisionEncoderDecoderModel,
        ViTConfig,
    )

    vision = ViTConfig(
        hidden_size=scale.hidden_size,
        intermediate_size=4 * scale.hidden_size,
        num_hidden_layers=scale.layers,
        num_attention_heads=scale.heads,
        image_size=224,
        patch_size=16,
    )
    text = GPT2Config(
        vocab_size=50257,
        n_embd=scale.hidden_size,
        n_layer=scale.layers,
        n_head=scale.heads,
        add_cross_attention=True,
    )
    config = VisionEncoderDecoderConfig.from_encoder_decoder_configs(vision, text)
    end = text.eos_token_id
    config.decoder_start_token_id = config.eos_token_id = config.pad_token_id = end
    half = (0.5, 0.5, 0.5)
    return OtherModel(VisionEncoderDecoderModel(config), 224, Image.Resampling.BILINEAR, half, half)


KINDS: dict[str, Callable[[Scale], OtherModel]] = {
    "blip-base": make_blip,
    "vit-gpt2": make_vit_gpt2,
}


def _main(kind: str, data_type: str, threads: str, scale: str) -> None:
    answers, sys.stdout = sys.stdout, sys.stderr  # whatever libraries print is no answer
    torch.set_num_threads(int(threads))
    torch.manual_seed(0)
    # Made in the data type: a peak of memory would else remember a larger one.
    torch.set_default_dtype(getattr(torch, data_type))
    other = KINDS[kind](SCALES[scale])
    torch.set_default_dtype(torch.float32)
    network = other.network.eval()
    mean, deviation = (np.array(values, np.float32) for values in (other.mean, other.deviation))
    print(sum(weights.numel() for weights in network.parameters()), file=answers, flush=True)
    while line := sys.stdin.buffer.readline():
        with Image.open(io.BytesIO(sys.stdin.buffer.read(int(line)))) as picture:
            shown = picture.convert("RGB").resize((other.size, other.size), other.resampling)
        pixels = (np.asarray(shown, np.float32) / 255 - mean) / deviation
        with torch.inference_mode():
            written = network.generate(
                pixel_values=torch.from_numpy(pixels.transpose(2, 0, 1)[None]).to(network.dtype),
                num_beams=BEAM,
                min_new_tokens=TOKENS,
                max_new_tokens=TOKENS,
            )
        print(written.shape[1] - 1, file=answers, flush=True)  # the start token is not written


if __name__ == "__main__":
    _main(*sys.argv[1:5])
