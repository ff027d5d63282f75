"""The largest numbers of each row and their order, in NumPy and in PyTorch."""

import numpy as np
import pytest
import torch

from model.arrays import argsort_descending, top_k


@pytest.mark.parametrize("library", [np.asarray, torch.from_numpy])
@pytest.mark.parametrize("count", [1, 3, 50])
def test_top_k_returns_the_largest_in_order_with_their_indices(library, count):
    values = np.random.default_rng(0).normal(size=(4, 50)).astype(np.float32)
    values[1, 7:] = -np.inf
    numbers, indices = top_k(library(values), count)
    assert np.array_equal(numbers, -np.sort(-values)[:, :count])
    for row, largest, where in zip(values, np.asarray(numbers), np.asarray(indices), strict=True):
        finite = where[np.isfinite(largest)]
        assert np.array_equal(row[finite], largest[np.isfinite(largest)])
        assert len(set(finite.tolist())) == len(finite)


@pytest.mark.parametrize("library", [np.asarray, torch.from_numpy])
def test_ties_keep_their_order(library):
    values = np.array([[1, 3, -np.inf, 3, 1], [0, 0, 0, 0, 0]], dtype=np.float32)
    assert argsort_descending(library(values)).tolist() == [[1, 3, 0, 4, 2], [0, 1, 2, 3, 4]]
