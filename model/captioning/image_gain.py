"""How much of a word comes from the picture, and how much from habit.

    image_gain = log p(word | picture, words before) - log p(word | mean picture, words before)

in nats: the pointwise mutual information of word and picture (Church and Hanks 1990), given the
words before. "of" after "in front" has some 0: it would have been written of any picture. Below 0
the picture speaks against the word.

The mean picture stands for a picture of nothing in particular. It is the mean of what the decoder
makes of many training pictures (`Decoder.begin`: attention's keys and values, evidence, first
state), not of the encoder's grids, whose mean is like no picture's grid: after it, the decoder
finds even "a" at the beginning of a sentence hardly likely. Knows the file of the mean picture in
a bundle, and no other.
"""

from collections.abc import Sequence

import numpy as np
from safetensors.numpy import save as safetensors_bytes

from model.arrays import to_numpy
from model.bundle.format import MEAN_PICTURE, MEND, BundleError
from model.bundle.read import Bundle
from model.bundle.tensors import read_arrays
from model.captioning.scoring import read
from model.config import CaptionerConfig
from model.networks.image_context import ImageContext
from model.runtime.base import CaptionDecoder, Runner

__all__ = ["ground", "mean_context_file", "read_mean_context"]


def ground(
    decoder: CaptionDecoder,
    mean_context: ImageContext,
    captions: Sequence[Sequence[int]],
    logprobs: Sequence[Sequence[float]],
) -> list[list[float]]:
    """Give the image_gain of every token, in nats; all captions are read together.

    Args:
        decoder: a caption decoder, or a runner of one.
        mean_context: of a batch of one.
        captions: token ids, the start token left out; of any pictures.
        logprobs: of the same tokens, given each caption's own picture.
    """
    usual, _ = read(decoder, mean_context, captions)
    return [
        [own - mean for own, mean in zip(*rows, strict=True)]
        for rows in zip(logprobs, usual, strict=True)
    ]


def mean_context_file(mean_context: ImageContext) -> dict[str, bytes]:
    """Give the bundle's file of a mean picture, in half precision, by its name."""
    named = mean_context.to_dict().items()
    halves = {name: to_numpy(part).astype(np.float16) for name, part in named}
    return {MEAN_PICTURE: safetensors_bytes(halves)}


def read_mean_context(bundle: Bundle[CaptionerConfig], runner: Runner) -> ImageContext | None:
    """Read the mean picture, in NumPy's float32; None where the bundle has none.

    Args:
        bundle: read and checked.
        runner: of its network.

    Raises:
        BundleError: the file holds anything else than this decoder's picture.
    """
    if MEAN_PICTURE not in bundle.config.sha256:
        return None
    path = bundle.folder / MEAN_PICTURE
    named = read_arrays(path)
    size = bundle.config.preprocessing.size
    nothing = np.zeros((1, 3, size, size), dtype=np.float32)
    expected = runner.encode_context(runner.encode(nothing)).to_dict()
    if {name: part.shape for name, part in named.items()} != {
        name: part.shape for name, part in expected.items()
    }:
        raise BundleError(f"{path} holds no picture as this decoder sees it: {MEND}")
    if not all(part.dtype.kind == "f" and np.isfinite(part).all() for part in named.values()):
        raise BundleError(f"{path} holds numbers that are not finite: {MEND}")
    return ImageContext.from_dict({name: part.astype(np.float32) for name, part in named.items()})
