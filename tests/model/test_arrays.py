"""The largest numbers of each row, whatever arrays they are in."""

import numpy as np
import pytest
import torch

from model.arrays import largest


@pytest.mark.parametrize("library", [np.asarray, torch.from_numpy])
@pytest.mark.parametrize("count", [1, 3, 50])
def test_the_largest_come_falling_with_their_places(library, count):
    values = np.random.default_rng(0).normal(size=(4, 50)).astype(np.float32)
    values[1, 7:] = -np.inf
    found, places = largest(library(values), count)
    assert np.array_equal(found, -np.sort(-values)[:, :count])
    assert np.array_equal(np.take_along_axis(values, np.asarray(places), axis=1), found)
    assert all(len(set(row)) == count for row in places.tolist())
