"""A process that captions with another model, built in the sizes of a published one.

    python -m benchmarks.other_model NAME DATA_TYPE THREADS SCALE

It needs `transformers` but no network access: the model is built from its configuration, so its
weights are random. Its captions are meaningless, but each is forced to the usual number of tokens,
so that it takes as long as the published model's.

The process prints its number of parameters. Then, for each picture on stdin, a line with its size
in bytes followed by the bytes, it prints how many tokens it generated.
"""

import io
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image

__all__ = ["BEAM", "MODELS", "SCALES", "TOKENS", "Scale"]

BEAM = 3
TOKENS = 11  # the average number of steps of Unrolled's captions of the photographs


@dataclass(frozen=True)
class Scale:
    """The sizes of the transformers, the same for encoder and decoder."""

    hidden_size: int = 768
    layers: int = 12
    heads: int = 12


SCALES = {"published": Scale(), "tiny": Scale(16, 1, 2)}


@dataclass(frozen=True)
class OtherModel:
    """A model with `generate`, and the preprocessing of its pictures."""

    network: Any
    size: int
    resampling: int  # a filter of Pillow
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


def _make_blip(scale: Scale) -> OtherModel:
    """Build BLIP-base as in Salesforce/blip-image-captioning-base."""
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


def _make_vit_gpt2(scale: Scale) -> OtherModel:
    """Build ViT-GPT2 as in nlpconnect/vit-gpt2-image-captioning."""
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


MODELS: dict[str, Callable[[Scale], OtherModel]] = {
    "blip-base": _make_blip,
    "vit-gpt2": _make_vit_gpt2,
}


def _main(name: str, data_type: str, threads: str, scale: str) -> None:
    stdout, sys.stdout = sys.stdout, sys.stderr  # libraries may print to stdout too
    torch.set_num_threads(int(threads))
    torch.manual_seed(0)
    # Built in the data type: building in float32 first would raise the peak of memory.
    torch.set_default_dtype(getattr(torch, data_type))
    other = MODELS[name](SCALES[scale])
    torch.set_default_dtype(torch.float32)
    network = other.network.eval()
    mean, std = (np.array(values, np.float32) for values in (other.mean, other.std))
    print(sum(weights.numel() for weights in network.parameters()), file=stdout, flush=True)
    while line := sys.stdin.buffer.readline():
        with Image.open(io.BytesIO(sys.stdin.buffer.read(int(line)))) as picture:
            resized = picture.convert("RGB").resize((other.size, other.size), other.resampling)
        pixels = (np.asarray(resized, np.float32) / 255 - mean) / std
        with torch.inference_mode():
            tokens = network.generate(
                pixel_values=torch.from_numpy(pixels.transpose(2, 0, 1)[None]).to(network.dtype),
                num_beams=BEAM,
                min_new_tokens=TOKENS,
                max_new_tokens=TOKENS,
            )
        print(tokens.shape[1] - 1, file=stdout, flush=True)  # without the start token


if __name__ == "__main__":
    _main(*sys.argv[1:5])
