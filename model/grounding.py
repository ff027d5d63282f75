"""How much of a word comes from the picture, and how much from habit.

    grounding = log p(word | picture, words before) - log p(word | mean picture, words before)

in nats: the pointwise mutual information of word and picture (Church and Hanks 1990), given the
words before. "of" after "in front" has some 0: it would have been written of any picture. Below 0
the picture speaks against the word.

The mean picture stands for a picture of nothing in particular. It is the mean of what the decoder
makes of many training pictures (`Decoder.begin`: attention's keys and values, evidence, first
state), not of the encoder's grids, whose mean is like no picture's grid: after it, the decoder
finds even "a" at the beginning of a sentence hardly likely. Knows the file of the mean picture in
a bundle, and no other.
"""

from collections.abc import Mapping, Sequence

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as safetensors_bytes
from torch import Tensor

from model.bundle import MEAN_PICTURE, MEND, Bundle, BundleError
from model.caption_reading import read
from model.config import CaptionerConfig
from model.decoder import Decoder, Picture

__all__ = ["from_parts", "ground", "mean_picture_file", "parts", "read_mean_picture"]


def ground(
    decoder: Decoder,
    mean_picture: Picture,
    captions: Sequence[Sequence[int]],
    logprobs: Sequence[Sequence[float]],
) -> list[list[float]]:
    """Give the grounding of every token, in nats; all captions are read together.

    Args:
        decoder: the caption decoder.
        mean_picture: of a batch of one.
        captions: token ids, the start token left out; of any pictures.
        logprobs: of the same tokens, given each caption's own picture.
    """
    usual, _ = read(decoder, mean_picture, captions)
    return [
        [own - mean for own, mean in zip(*rows, strict=True)]
        for rows in zip(logprobs, usual, strict=True)
    ]


def parts(picture: Picture) -> dict[str, Tensor]:
    """Name the tensors of a picture as the decoder keeps it, each (batch, ...)."""
    named = picture._asdict() | {f"start.{i}": part for i, part in enumerate(picture.start)}
    return {name: part for name, part in named.items() if isinstance(part, Tensor)}


def from_parts(named: Mapping[str, Tensor]) -> Picture:
    """Put a picture together again from what `parts` gave."""
    starts = sum(name.startswith("start.") for name in named)
    return Picture(
        named.get("gates"),
        named.get("keys"),
        named.get("values"),
        named.get("evidence"),
        tuple(named[f"start.{i}"] for i in range(starts)),
    )


def mean_picture_file(mean_picture: Picture) -> dict[str, bytes]:
    """Give the bundle's file of a mean picture, in half precision, by its name."""
    halves = {name: part.cpu().half().contiguous() for name, part in parts(mean_picture).items()}
    return {MEAN_PICTURE: safetensors_bytes(halves)}


def read_mean_picture(bundle: Bundle[CaptionerConfig], decoder: Decoder) -> Picture | None:
    """Read the mean picture, in float32; None where the bundle has none.

    Raises:
        BundleError: the file holds anything else than this decoder's picture.
    """
    if MEAN_PICTURE not in bundle.config.sha256:
        return None
    path = bundle.folder / MEAN_PICTURE
    try:
        named = load_file(path)
    except SafetensorError as error:
        raise BundleError(f"{path} is not a whole safetensors file ({error}): {MEND}") from error
    values = named.get("values")
    cells = 1 if values is None or values.ndim != 3 else max(1, values.shape[1])
    with torch.inference_mode():
        expected = parts(decoder.begin(torch.zeros(1, 1, cells, decoder.channels)))
    if {name: part.shape for name, part in named.items()} != {
        name: part.shape for name, part in expected.items()
    }:
        raise BundleError(f"{path} holds no picture as this decoder sees it: {MEND}")
    if not all(part.is_floating_point() and part.isfinite().all() for part in named.values()):
        raise BundleError(f"{path} holds numbers that are not finite: {MEND}")
    return from_parts({name: part.float() for name, part in named.items()})
