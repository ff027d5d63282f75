"""The neighbour index: what a consensus needs of pictures that people captioned, and its file.

It has a direction for each picture, and the mean TF-IDF vector of its captions' n-grams, but no
picture, no sentence, and no n-gram that only few pictures share. It is built by
`model.training.finalize.neighbours`, and used by `model.captioning.consensus`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save as safetensors_bytes

from model.bundle.format import CONSENSUS, MEND, BundleError
from model.bundle.read import Bundle
from model.bundle.tensors import read_arrays
from model.config import CaptionerConfig
from model.vocabulary import Vocabulary

__all__ = [
    "MAX_ORDER",
    "NeighbourIndex",
    "NgramCounts",
    "count_ngrams",
    "neighbours_file",
    "ngram_key",
    "read_neighbours",
]

MAX_ORDER = 4


@dataclass(frozen=True)
class NeighbourIndex:
    """An index of pictures with people's captions, as a bundle keeps it.

    Attributes:
        mean: of all features, float16 (channels,). What all pictures share does not
            say how alike two of them are.
        basis: their principal axes, float16 (channels, dimensions).
        pictures: direction of each along those, int8 (pictures, dimensions); its length does not
            matter.
        ngrams: the keys of n-grams (see `ngram_key`), int64 (ngrams,), in ascending order.
        rarity: log(pictures / pictures whose captions have the n-gram), float32 (ngrams,).
        unseen: that of any other n-gram, float32 (1,).
        starts: where in the next two each picture begins, and their end, int32 (pictures + 1,).
        columns: indices of n-grams, uint16 (entries,).
        weights: of these in the mean of the unit vectors of the picture's captions, 0 to 1,
            float16 (entries,).
    """

    mean: NDArray[Any]
    basis: NDArray[Any]
    pictures: NDArray[Any]
    ngrams: NDArray[Any]
    rarity: NDArray[Any]
    unseen: NDArray[Any]
    starts: NDArray[Any]
    columns: NDArray[Any]
    weights: NDArray[Any]


class NgramCounts(NamedTuple):
    """How often captions have n-grams; arrays (ngrams,), sorted by caption and key.

    Attributes:
        captions: the index of the caption.
        orders: how many tokens the n-gram has, less one.
        keys: see `ngram_key`.
        counts: how often the caption has it.
    """

    captions: NDArray[np.int64]
    orders: NDArray[np.int64]
    keys: NDArray[np.int64]
    counts: NDArray[np.int64]


_TYPES = {
    "mean": np.float16,
    "basis": np.float16,
    "pictures": np.int8,
    "ngrams": np.int64,
    "rarity": np.float32,
    "unseen": np.float32,
    "starts": np.int32,
    "columns": np.uint16,
    "weights": np.float16,
}


def ngram_key(tokens: Sequence[int], vocabulary_size: int) -> int:
    """Return a number that no other n-gram of token ids has, whatever its length."""
    key = 0
    for token in tokens:
        key = key * (vocabulary_size + 1) + token + 1
    return key


def count_ngrams(captions: Sequence[Sequence[int]], vocabulary_size: int) -> NgramCounts:
    """Count the n-grams of captions, of one token, of two, up to `MAX_ORDER`.

    Special tokens are left out.
    """
    lengths = [len(caption) for caption in captions]
    tokens = np.fromiter(chain.from_iterable(captions), dtype=np.int64, count=sum(lengths))
    owners = np.repeat(np.arange(len(captions)), lengths)
    is_word = tokens > Vocabulary.unknown_id
    tokens, owners = tokens[is_word], owners[is_word]
    keys, of_caption = np.zeros_like(tokens), owners
    by_order = []
    for order in range(MAX_ORDER):
        # One token longer, and none beyond the end of its caption.
        keys = keys[: len(tokens) - order] * (vocabulary_size + 1) + tokens[order:] + 1
        of_caption = owners[: len(keys)]
        whole = of_caption == owners[order:]
        by_order.append((of_caption[whole], keys[whole], np.full(whole.sum(), order)))
    found, keys, orders = (np.concatenate(parts) for parts in zip(*by_order, strict=True))
    sorting = np.lexsort((keys, found))
    found, keys, orders = found[sorting], keys[sorting], orders[sorting]
    is_first = np.ones(len(keys), dtype=bool)
    is_first[1:] = (keys[1:] != keys[:-1]) | (found[1:] != found[:-1])
    (firsts,) = is_first.nonzero()
    counts = np.diff(firsts, append=len(keys))
    return NgramCounts(found[firsts], orders[firsts], keys[firsts], counts)


def neighbours_file(index: NeighbourIndex) -> dict[str, bytes]:
    """Return the bundle's file of the neighbour index, by its name."""
    arrays = {one.name: getattr(index, one.name) for one in fields(index)}
    return {CONSENSUS: safetensors_bytes(arrays)}


def read_neighbours(bundle: Bundle[CaptionerConfig], channels: int) -> NeighbourIndex:
    """Read a bundle's neighbour index.

    Args:
        bundle: read and checked, with a consensus.
        channels: of its encoder.

    Raises:
        BundleError: the file does not contain an index for this captioner.
    """
    path = bundle.folder / CONSENSUS
    arrays = read_arrays(path)
    if {name: array.dtype for name, array in arrays.items()} != _TYPES:
        raise BundleError(f"{path} does not hold {', '.join(_TYPES)} as it should: {MEND}")
    index = NeighbourIndex(**arrays)
    if not _fits(index, channels):
        raise BundleError(f"{path} holds no pictures as this captioner sees them: {MEND}")
    numbers = (index.mean, index.basis, index.rarity, index.unseen, index.weights)
    if not all(np.isfinite(array).all() for array in numbers):
        raise BundleError(f"{path} holds numbers that are not finite: {MEND}")
    return index


def _fits(index: NeighbourIndex, channels: int) -> bool:
    """Check that shapes and indices fit together, so that no lookup can fail."""
    dimensions = index.basis.shape[-1]
    shapes = {
        "mean": (channels,),
        "basis": (channels, dimensions),
        "pictures": (len(index.starts) - 1, dimensions),
        "ngrams": (len(index.rarity),),
        "rarity": (len(index.rarity),),
        "unseen": (1,),
        "starts": (len(index.starts),),
        "columns": (len(index.weights),),
        "weights": (len(index.weights),),
    }
    return (
        all(getattr(index, name).shape == shape for name, shape in shapes.items())
        and len(index.starts) > 1
        and index.starts[0] == 0
        and index.starts[-1] == len(index.columns)
        and bool((np.diff(index.starts) >= 0).all())
        and bool((np.diff(index.ngrams) > 0).all())
        and int(index.columns.max(initial=0)) < max(1, len(index.ngrams))
    )
