"""The top_k numbers of each row, and their order, whatever arrays they are in."""

import numpy as np
import pytest
import torch

from model.arrays import argsort_descending, top_k


@pytest.mark.parametrize("library", [np.asarray, torch.from_numpy])
@pytest.mark.parametrize("count", [1, 3, 50])
def test_the_largest_come_falling_with_their_places(library, count):
    values = np.random.default_rng(0).normal(size=(4, 50)).astype(np.float32)
    values[1, 7:] = -np.inf
    found, places = top_k(library(values), count)
    assert np.array_equal(found, -np.sort(-values)[:, :count])
    for row, numbers, where in zip(values, np.asarray(found), np.asarray(places), strict=True):
        there = where[np.isfinite(numbers)]
        assert np.array_equal(row[there], numbers[np.isfinite(numbers)])
        assert len(set(there.tolist())) == len(there)


@pytest.mark.parametrize("library", [np.asarray, torch.from_numpy])
def test_of_equals_the_first_comes_first(library):
    values = np.array([[1, 3, -np.inf, 3, 1], [0, 0, 0, 0, 0]], dtype=np.float32)
    assert argsort_descending(library(values)).tolist() == [[1, 3, 0, 4, 2], [0, 1, 2, 3, 4]]
