"""The regression from features to words: as scikit-learn's, and of the commonest words."""

import math

import numpy as np
import pytest
import torch

from model.training.finalize.expected_words import fit_expected_words
from tests.tiny import tiny_vocabulary

SAID = [["a dog runs", "a dog"], ["a dog sits"], ["the cat sits"], ["a zebra sits"]]


def features(pictures: int = 4, channels: int = 6) -> torch.Tensor:
    return torch.randn(pictures, channels, generator=torch.Generator().manual_seed(0))


def ids(*words: str) -> list[int]:
    return sorted(tiny_vocabulary().encode(" ".join(words)))


def test_words_of_few_pictures_are_left_out():
    words = fit_expected_words(features(), SAID, tiny_vocabulary(), min_pictures=2)
    assert words.tokens.tolist() == ids("a", "dog", "sits")
    rarity = dict(zip(words.tokens.tolist(), words.rarity.tolist(), strict=True))
    assert rarity[ids("a")[0]] == pytest.approx(math.log(4 / 3))
    assert rarity[ids("dog")[0]] == pytest.approx(math.log(4 / 2))


def test_unknown_words_are_left_out():
    said = [["a zebra"], ["a zebra"], ["a cat"], ["cat"]]
    words = fit_expected_words(features(), said, tiny_vocabulary(), min_pictures=2)
    assert words.tokens.tolist() == ids("a", "cat")


def test_the_commonest_words_are_kept():
    words = fit_expected_words(features(), SAID, tiny_vocabulary(), most_words=2, min_pictures=1)
    assert words.tokens.tolist() == ids("a", "sits")


def test_of_few_pictures_the_commonest_words_are_kept():
    words = fit_expected_words(features(), SAID, tiny_vocabulary(), min_pictures=5)
    assert words.tokens.tolist() == ids("a", "sits")  # each of three pictures


def test_it_is_a_ridge_regression_to_the_share_of_captions():
    """Solved another way: as least squares with one more row for each channel."""
    table = features(40, 6) + 100
    said = [SAID[i % 3] for i in range(40)]
    words = fit_expected_words(table, said, tiny_vocabulary(), min_pictures=1, shrinkage=0.5)
    shares = np.zeros((40, len(words.tokens)))
    for row, captions in zip(shares, said, strict=True):
        for caption in captions:
            row[np.isin(words.tokens, tiny_vocabulary().encode(caption))] += 1 / len(captions)
    centred = (table - table.mean(0)).double().numpy()
    penalty = 0.5 * (centred**2).sum(0).mean()
    rows = np.concatenate([centred, math.sqrt(penalty) * np.eye(6)])
    targets = np.concatenate([shares - shares.mean(0), np.zeros((6, shares.shape[1]))])
    weights, *_ = np.linalg.lstsq(rows, targets, rcond=None)
    kept = words.weights * words.scales  # rounded to 8 bits
    np.testing.assert_allclose(kept, weights, atol=np.abs(weights).max() / 250)
    # However far the features are from zero, the mean picture has the mean shares.
    np.testing.assert_allclose(
        table.double().mean(0).numpy() @ kept + words.shares, shares.mean(0), atol=1e-5
    )


def test_pictures_that_look_alike_have_the_words_of_all():
    words = fit_expected_words(torch.ones(4, 6), SAID, tiny_vocabulary(), min_pictures=1)
    shares = dict(zip(words.tokens.tolist(), words.shares.tolist(), strict=True))
    assert not words.weights.any()
    assert shares[ids("a")[0]] == pytest.approx(3 / 4)
    assert shares[ids("runs")[0]] == pytest.approx(1 / 8)


def test_captions_without_a_known_word_are_refused():
    with pytest.raises(ValueError, match="no caption has a word of the vocabulary"):
        fit_expected_words(features(2), [["zebra"], ["", "zebra"]], tiny_vocabulary())
