"""How much of a word comes from the picture, and how much from habit.

    image gain = log p(word | picture, words before) - log p(word | mean picture, words before)

in nats: the pointwise mutual information of word and picture (Church and Hanks 1990), given the
words before. For "of" after "in front" it is about 0: the word would have been written of any
picture. Below 0 the picture speaks against the word.

The mean picture stands for a picture of nothing in particular. It is the mean of what the decoder
makes of many training pictures (`Decoder.encode_context`: attention's keys and values, evidence,
start state), not of the encoder's grids: their mean is unlike any picture's grid, and after it the
decoder finds even "a" at the beginning of a sentence unlikely.
"""

from collections.abc import Sequence

import numpy as np

from model.arrays import to_numpy
from model.bundle.format import MEAN_PICTURE, MEND, BundleError
from model.bundle.read import Bundle
from model.bundle.tensors import arrays_bytes, read_arrays
from model.captioning.scoring import score_tokens
from model.config import CaptionerConfig
from model.networks.image_context import ImageContext
from model.runtime.base import CaptionDecoder, Runner

__all__ = ["image_gain", "mean_context_file", "read_mean_context"]


def image_gain(
    decoder: CaptionDecoder,
    mean_context: ImageContext,
    captions: Sequence[Sequence[int]],
    logprobs: Sequence[Sequence[float]],
) -> list[list[float]]:
    """Return the image gain of every token, in nats; all captions are read together.

    Args:
        decoder: a caption decoder, or a runner of one.
        mean_context: of a batch of one.
        captions: token ids without the start token; of any pictures.
        logprobs: of the same tokens, given each caption's own picture.
    """
    without_picture = score_tokens(decoder, mean_context, captions)
    return [
        [given - without for given, without in zip(*pair, strict=True)]
        for pair in zip(logprobs, without_picture, strict=True)
    ]


def mean_context_file(mean_context: ImageContext) -> dict[str, bytes]:
    """Return the bundle's file of a mean picture, in half precision, by its name."""
    named = mean_context.to_dict().items()
    halves = {name: to_numpy(part).astype(np.float16) for name, part in named}
    return {MEAN_PICTURE: arrays_bytes(halves)}


def read_mean_context(bundle: Bundle[CaptionerConfig], runner: Runner) -> ImageContext | None:
    """Read the mean picture, as float32 NumPy arrays; None if the bundle has none.

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
