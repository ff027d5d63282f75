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
    """A model with `generate`, and the preprocessing of its pictures.

    Attributes:
        network: of `transformers`.
        size, resampling, mean, std: of its pictures; a filter of Pillow, and values by channel.
        prompt: token ids that it reads with the picture; those of the picture's own places are
            `config.image_token_id`. None: it needs none.
        beams: the beam size of its published usage.
        several: whether it takes a row of pictures.
    """

    network: Any
    size: int
    resampling: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    prompt: tuple[int, ...] | None = None
    beams: int = BEAM
    several: bool = False

    def generate(self, picture: Image.Image) -> int:
        """Caption a picture in `TOKENS` tokens, and return how many were written."""
        resized = picture.convert("RGB").resize((self.size, self.size), self.resampling)
        mean, std = (np.array(values, np.float32) for values in (self.mean, self.std))
        pixels = (np.asarray(resized, np.float32) / 255 - mean) / std
        batch = torch.from_numpy(pixels.transpose(2, 0, 1)[None]).to(self.network.dtype)
        inputs = {"pixel_values": batch[:, None] if self.several else batch}
        if self.prompt is not None:
            inputs["input_ids"] = torch.tensor([self.prompt])
            inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
        with torch.inference_mode():
            tokens = self.network.generate(
                **inputs, num_beams=self.beams, min_new_tokens=TOKENS, max_new_tokens=TOKENS
            )
        # A decoder alone repeats what it read; otherwise the start token comes first.
        decoder_alone = self.prompt is not None and not self.network.config.is_encoder_decoder
        return int(tokens.shape[1]) - (len(self.prompt or ()) if decoder_alone else 1)


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


_QUESTION = 8  # tokens of "What does the image describe?", with those of its begin and end
_CHAT = 24  # tokens around the picture's in "User: ... Can you describe this image? Assistant:"


def _make_florence(scale: Scale) -> OtherModel:
    """Build Florence-2-base as in microsoft/Florence-2-base."""
    from transformers import (  # noqa: PLC0415
        Florence2Config,
        Florence2ForConditionalGeneration,
    )

    published = scale == SCALES["published"]
    size = 768 if published else 64
    layers, image = scale.layers // 2 or 1, 51_288
    config = Florence2Config(
        text_config={
            "model_type": "bart",
            "vocab_size": 51_289,
            "d_model": scale.hidden_size,
            **{f"{part}_layers": layers for part in ("encoder", "decoder")},
            **{f"{part}_attention_heads": scale.heads for part in ("encoder", "decoder")},
            **{f"{part}_ffn_dim": 4 * scale.hidden_size for part in ("encoder", "decoder")},
        },
        vision_config={"projection_dim": scale.hidden_size}
        | ({} if published else {"embed_dim": [32] * 4, "depths": [1] * 4}),
        image_token_id=image,
    )
    # A place for each part of 32 x 32 pixels, and one for all of them.
    places = (size // 32) ** 2 + 1
    return OtherModel(
        Florence2ForConditionalGeneration(config),
        size,
        Image.Resampling.BICUBIC,
        (0.485, 0.456, 0.406),
        (0.229, 0.224, 0.225),
        prompt=(image,) * places + (4,) * _QUESTION,
    )


def _make_smolvlm(scale: Scale) -> OtherModel:
    """Build SmolVLM-256M as in HuggingFaceTB/SmolVLM-256M-Instruct, for an uncut picture."""
    from transformers import SmolVLMConfig, SmolVLMForConditionalGeneration  # noqa: PLC0415

    published = scale == SCALES["published"]
    size = 512 if published else 64
    image = 49_190
    text = {
        "model_type": "llama",
        "vocab_size": 49_280,
        "max_position_embeddings": 8192,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 2,
    }
    sizes = {
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "head_dim": 64,
    }
    small = dict.fromkeys(sizes, 2) | {"hidden_size": 16, "intermediate_size": 16, "head_dim": 8}
    config = SmolVLMConfig(
        text_config=text | (sizes if published else small),
        vision_config={
            "hidden_size": scale.hidden_size,
            "intermediate_size": 4 * scale.hidden_size,
            "num_hidden_layers": scale.layers,
            "num_attention_heads": scale.heads,
            "image_size": size,
            "patch_size": 16,
        },
        scale_factor=4,
        image_token_id=image,
    )
    half = (0.5, 0.5, 0.5)
    places = (size // 16 // 4) ** 2
    return OtherModel(
        SmolVLMForConditionalGeneration(config),
        size,
        Image.Resampling.LANCZOS,
        half,
        half,
        prompt=(4,) * (_CHAT // 2) + (image,) * places + (4,) * (_CHAT // 2),
        beams=1,
        several=True,
    )


MODELS: dict[str, Callable[[Scale], OtherModel]] = {
    "blip-base": _make_blip,
    "vit-gpt2": _make_vit_gpt2,
    "florence-2-base": _make_florence,
    "smolvlm-256m": _make_smolvlm,
}


def _main(name: str, data_type: str, threads: str, scale: str) -> None:
    stdout, sys.stdout = sys.stdout, sys.stderr  # libraries may print to stdout too
    torch.set_num_threads(int(threads))
    torch.manual_seed(0)
    # Built in the data type: building in float32 first would raise the peak of memory.
    torch.set_default_dtype(getattr(torch, data_type))
    other = MODELS[name](SCALES[scale])
    torch.set_default_dtype(torch.float32)
    other.network.eval()
    print(sum(weights.numel() for weights in other.network.parameters()), file=stdout, flush=True)
    while line := sys.stdin.buffer.readline():
        with Image.open(io.BytesIO(sys.stdin.buffer.read(int(line)))) as picture:
            print(other.generate(picture), file=stdout, flush=True)


if __name__ == "__main__":
    _main(*sys.argv[1:5])
