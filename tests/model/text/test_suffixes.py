"""Sorted suffixes against sorting them one by one."""

from itertools import pairwise

import numpy as np
import pytest

from model.text.suffixes import shared_with_previous, sorted_suffixes


@pytest.mark.parametrize("vocabulary_size", [1, 2, 100, 255, 256, 70_000, 2**20])
@pytest.mark.parametrize("length", [0, 1, 2, 5, 300])
@pytest.mark.parametrize("depth", [1, 2, 5, 9, 19, 20])
def test_suffixes_are_sorted_by_their_first_tokens(
    vocabulary_size: int, length: int, depth: int
) -> None:
    random = np.random.default_rng(depth)
    text = np.minimum(random.geometric(0.5, length) - 1, vocabulary_size - 1)
    text[: length // 50] = vocabulary_size - 1
    suffixes = sorted_suffixes(text, depth)
    assert sorted(suffixes) == list(range(length))
    beginnings = [text[at : at + depth].tolist() for at in suffixes]
    assert beginnings == sorted(beginnings)
    shared = [
        next((i for i, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), len(one))
        for one, two in pairwise(beginnings)
    ]
    assert shared_with_previous(text, suffixes, depth).tolist() == [0, *shared][:length]
