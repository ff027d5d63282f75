"""Each head gets its own slice of every vector."""

import numpy as np
import pytest
import torch

from model.networks.heads import split_heads, split_keys


@pytest.mark.parametrize("library", [np.asarray, torch.from_numpy])
def test_each_head_gets_its_slice(library):
    vectors = np.random.default_rng(0).normal(size=(2, 5, 12)).astype(np.float32)
    slices, keys = split_heads(library(vectors), 3), split_keys(library(vectors), 3)
    assert (tuple(slices.shape), tuple(keys.shape)) == ((2, 3, 5, 4), (2, 3, 4, 5))
    for head in range(3):
        expected = vectors[:, :, 4 * head : 4 * head + 4]
        assert np.array_equal(slices[:, head], expected)
        assert np.array_equal(keys[:, head], expected.transpose(0, 2, 1))
