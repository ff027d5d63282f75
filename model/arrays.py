"""What is needed of arrays and their common interface lacks.

One search runs on NumPy's arrays and on PyTorch's, through the Python array API standard
(`array_api_compat`); this adds what the standard does not have. Never imports PyTorch itself.
Knows nothing of sequences.
"""

from typing import Any

import numpy as np
from array_api_compat import array_namespace, is_numpy_array, to_device
from numpy.typing import NDArray

__all__ = ["Array", "argsort_descending", "largest", "to_numpy"]

Array = Any  # a NumPy array or a tensor: the standard's arrays have no common type


def argsort_descending(values: Array) -> Array:
    """Give the places of each row's numbers, the largest first, and of equals the first: (rows, n).

    The standard's own sorts twice as long in NumPy, which it has to turn around.
    """
    if is_numpy_array(values):
        return np.argsort(-values, axis=1, kind="stable")
    return array_namespace(values).argsort(values, axis=1, descending=True, stable=True)


def largest(values: Array, count: int) -> tuple[Array, Array]:
    """Find the `count` largest numbers of each row: (rows, n), n >= count.

    Returns:
        The numbers, falling, and their places, each (rows, count). Where fewer than `count` are
        finite, -inf follows, at any place.
    """
    if not is_numpy_array(values):
        found = array_namespace(values).topk(values, count)
        return found.values, found.indices
    # One after the other: for as few as a beam holds, by far the quickest in NumPy.
    left, rows = values.copy(), np.arange(len(values))
    found = np.empty((len(values), count), dtype=values.dtype)
    places = np.empty((len(values), count), dtype=np.int64)
    for i in range(count):
        places[:, i] = place = left.argmax(1)
        found[:, i] = left[rows, place]
        left[rows, place] = -np.inf
    return found, places


def to_numpy(values: Array) -> NDArray[Any]:
    """Give any array as NumPy's, in main memory."""
    return np.asarray(values if is_numpy_array(values) else to_device(values, "cpu"))
