"""Sort the suffixes of a text, so that those that begin with the same n-gram lie together."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["shared_with_previous", "sorted_suffixes"]

Ints = NDArray[np.integer[Any]]
Keys = NDArray[np.int64]

_KEY_BITS = 63  # of a key that is sorted
_EXACT_BITS = 52  # of one whose highest bit is found in double precision


def sorted_suffixes(text: Ints, depth: int) -> NDArray[np.int32]:
    """Sort a text's suffixes by their first `depth` tokens, a shorter one before its extensions.

    Prefix doubling (Manber and Myers 1993): ranks by `known` tokens, in pairs, sort by twice as
    many. It begins with as many tokens as fit into a number, and where a pair of ranks leaves bits
    free, the tokens after it fill them.

    Args:
        text: token ids (tokens,).
        depth: 1 or more.

    Returns:
        Where each suffix begins (tokens,).
    """
    token_bits = _token_bits(text)
    known = min(depth, _KEY_BITS // token_bits)
    key = _packed(text, known, token_bits)
    rows = np.argsort(key)
    while known < depth:
        rank = _dense_ranks(key, rows)
        rank_bits = int(rank.max(initial=0) + 1).bit_length()
        further = min(known, depth - known)
        key = rank << rank_bits
        key[:-further] |= rank[further:] + 1  # 0 where the text has ended
        known += further
        free = max(0, _KEY_BITS - 2 * rank_bits) // token_bits
        if more := min(depth - known, free):
            key <<= more * token_bits
            key[:-known] |= _packed(text[known:], more, token_bits)
            known += more
        rows = np.argsort(key)
    return rows.astype(np.int32)


def shared_with_previous(text: Ints, suffixes: Ints, depth: int) -> NDArray[np.uint8]:
    """Count the first tokens, up to `depth`, that each suffix shares with the one before it.

    Args:
        text: token ids (tokens,).
        suffixes: sorted (tokens,).
        depth: 1 to 255.
    """
    token_bits = _token_bits(text)
    width = max(1, _EXACT_BITS // token_bits)
    packed = np.append(_packed(text, width, token_bits), 0)
    shared = np.zeros(len(text), dtype=np.uint8)
    rows = np.arange(1, len(text))  # whose first `known` tokens are all shared
    for known in range(0, depth, width):
        one, two = (
            packed[np.minimum(at + known, len(text))] for at in (suffixes[rows - 1], suffixes[rows])
        )
        _, highest = np.frexp((one ^ two).astype(np.float64))  # the highest bit that differs, or 0
        same = width - (highest + token_bits - 1) // token_bits
        shared[rows] = np.minimum(known + same, depth)
        rows = rows[same == width]
    return shared


def _token_bits(text: Ints) -> int:
    """Return how many bits hold a token or, as 0, that the text has ended."""
    return int(text.max(initial=0) + 1).bit_length()


def _packed(text: Ints, width: int, token_bits: int) -> Keys:
    """Put `width` tokens from every place on into one number, the first into its highest bits."""
    padded = np.zeros(len(text) + width, dtype=np.int64)
    padded[: len(text)] = text
    padded[: len(text)] += 1
    packed = np.zeros(len(text), dtype=np.int64)
    for i in range(width):
        packed <<= token_bits
        packed |= padded[i : i + len(text)]
    return packed


def _dense_ranks(key: Keys, rows: Ints) -> Keys:
    """Number the distinct keys, of which `rows` is the order, from 0 on."""
    ordered = key[rows]
    rank = np.empty_like(key)
    rank[rows] = np.cumsum(np.diff(ordered, prepend=ordered[:1]) > 0)
    return rank
