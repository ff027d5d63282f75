"""Which words people would use of a picture, and the bundle's file that says so.

A linear regression from the encoder's features to the share of captions that have each word. It is
fitted by `model.training.finalize.expected_words`, and used by `model.captioning.consensus`. The
file has no picture and no sentence of those that it was fitted to.
"""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.bundle.format import CONSENSUS, MEND, BundleError
from model.bundle.read import Bundle
from model.bundle.tensors import arrays_bytes, read_arrays
from model.config import CaptionerConfig
from model.vocabulary import Vocabulary

__all__ = ["ExpectedWords", "expected_words_file", "read_expected_words"]


@dataclass(frozen=True)
class ExpectedWords:
    """A regression from a picture's features to its words, as a bundle keeps it.

    The share of captions with word w is features @ (weights[:, w] * scales[w]) + shares[w].

    Attributes:
        tokens: ids of the words in the vocabulary, int32 (words,), in ascending order.
        weights: int8 (channels, words).
        scales: of each word's weights, float32 (words,).
        shares: of a picture whose features are all zero, float32 (words,).
        rarity: log(pictures / pictures whose captions have the word), float32 (words,).
    """

    tokens: NDArray[Any]
    weights: NDArray[Any]
    scales: NDArray[Any]
    shares: NDArray[Any]
    rarity: NDArray[Any]


_TYPES = {
    "tokens": np.int32,
    "weights": np.int8,
    "scales": np.float32,
    "shares": np.float32,
    "rarity": np.float32,
}


def expected_words_file(words: ExpectedWords) -> dict[str, bytes]:
    """Return the bundle's file of the expected words, by its name."""
    return {CONSENSUS: arrays_bytes({one.name: getattr(words, one.name) for one in fields(words)})}


def read_expected_words(
    bundle: Bundle[CaptionerConfig], channels: int, vocabulary_size: int
) -> ExpectedWords:
    """Read a bundle's expected words.

    Args:
        bundle: read and checked, with a consensus.
        channels: of its encoder.
        vocabulary_size: of its vocabulary.

    Raises:
        BundleError: the file does not contain such a regression for this captioner.
    """
    path = bundle.folder / CONSENSUS
    arrays = read_arrays(path)
    if {name: array.dtype for name, array in arrays.items()} != _TYPES:
        raise BundleError(f"{path} does not hold {', '.join(_TYPES)} as it should: {MEND}")
    words = ExpectedWords(**arrays)
    if not _fits(words, channels, vocabulary_size):
        raise BundleError(f"{path} holds no words as this captioner writes them: {MEND}")
    numbers = (words.scales, words.shares, words.rarity)
    if not all(np.isfinite(array).all() for array in numbers):
        raise BundleError(f"{path} holds numbers that are not finite: {MEND}")
    return words


def _fits(words: ExpectedWords, channels: int, vocabulary_size: int) -> bool:
    """Check that shapes and ids fit together, so that no lookup can fail."""
    count = words.tokens.size
    shapes = {
        "tokens": (count,),
        "weights": (channels, count),
        "scales": (count,),
        "shares": (count,),
        "rarity": (count,),
    }
    return (
        all(getattr(words, name).shape == shape for name, shape in shapes.items())
        and count > 0
        and Vocabulary.unknown_id < int(words.tokens[0])
        and int(words.tokens[-1]) < vocabulary_size
        and bool((np.diff(words.tokens) > 0).all())
    )
