"""Each head finds its own slice of every vector."""

import numpy as np
import pytest
import torch

from model.networks.heads import by_heads, keys_by_heads


@pytest.mark.parametrize("library", [np.asarray, torch.from_numpy])
def test_heads_take_their_slices(library):
    vectors = np.random.default_rng(0).normal(size=(2, 5, 12)).astype(np.float32)
    slices, keys = by_heads(library(vectors), 3), keys_by_heads(library(vectors), 3)
    assert (tuple(slices.shape), tuple(keys.shape)) == ((2, 3, 5, 4), (2, 3, 4, 5))
    for head in range(3):
        own = vectors[:, :, 4 * head : 4 * head + 4]
        assert np.array_equal(slices[:, head], own)
        assert np.array_equal(keys[:, head], own.transpose(0, 2, 1))
