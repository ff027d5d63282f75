"""Array helpers that the array API standard lacks.

One beam search runs on NumPy's arrays and on PyTorch's, through the Python array API standard
(`array_api_compat`). PyTorch itself is never imported here.
"""

from typing import Any

import numpy as np
from array_api_compat import array_namespace, is_numpy_array, to_device
from numpy.typing import NDArray

__all__ = ["Array", "argsort_descending", "to_numpy", "top_k"]

Array = Any  # a NumPy array or a tensor: the standard's arrays have no common type


def argsort_descending(values: Array) -> Array:
    """Return the indices that sort each row, largest first, ties in order: (rows, n).

    The standard's own `argsort` takes twice as long in NumPy, since it sorts and then reverses.
    """
    if is_numpy_array(values):
        return np.argsort(-values, axis=1, kind="stable")
    return array_namespace(values).argsort(values, axis=1, descending=True, stable=True)


def top_k(values: Array, k: int) -> tuple[Array, Array]:
    """Find the `k` largest numbers of each row: (rows, n), n >= k.

    Returns:
        The numbers in descending order, and their indices, each (rows, k). Where fewer than `k` are
        finite, -inf follows, with any index.
    """
    if not is_numpy_array(values):
        top = array_namespace(values).topk(values, k)
        return top.values, top.indices
    # One by one, which for the few of a beam is by far the fastest in NumPy.
    remaining, rows = values.copy(), np.arange(len(values))
    numbers = np.empty((len(values), k), dtype=values.dtype)
    indices = np.empty((len(values), k), dtype=np.int64)
    for i in range(k):
        indices[:, i] = index = remaining.argmax(1)
        numbers[:, i] = remaining[rows, index]
        remaining[rows, index] = -np.inf
    return numbers, indices


def to_numpy(values: Array) -> NDArray[Any]:
    """Return any array as a NumPy array in main memory."""
    return np.asarray(values if is_numpy_array(values) else to_device(values, "cpu"))
