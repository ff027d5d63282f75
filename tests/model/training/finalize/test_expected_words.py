"""What is kept of training pictures: the n-grams that several share, and where the pictures lie."""

import math

import numpy as np
import pytest
import torch

from model.captioning.neighbours import ngram_key
from model.training.finalize.neighbours import build_neighbour_index
from model.vocabulary import Vocabulary
from tests.tiny import tiny_vocabulary

SAID = [["a dog runs", "a dog"], ["a dog sits"], ["the cat sits"], ["a zebra sits"]]


def features(pictures: int = 4, channels: int = 6) -> torch.Tensor:
    return torch.randn(pictures, channels, generator=torch.Generator().manual_seed(0))


def keys(*texts: str) -> list[int]:
    vocabulary = tiny_vocabulary()
    return sorted(ngram_key(vocabulary.encode(text), len(vocabulary)) for text in texts)


def test_ngrams_that_few_pictures_share_are_not_kept():
    known = build_neighbour_index(features(), SAID, tiny_vocabulary(), min_pictures=2)
    assert known.ngrams.tolist() == keys("a", "dog", "sits", "a dog")
    rarity = dict(zip(known.ngrams.tolist(), known.rarity.tolist(), strict=True))
    assert rarity[keys("a")[0]] == pytest.approx(math.log(4 / 3))
    assert rarity[keys("a dog")[0]] == pytest.approx(math.log(4 / 2))
    assert known.unseen.tolist() == pytest.approx([math.log(4)])


def test_ngrams_of_unknown_words_are_not_kept():
    known = build_neighbour_index(features(), [["a zebra"], ["a zebra"], ["a cat"], ["cat"]],
                                tiny_vocabulary(), min_pictures=2)  # fmt: skip
    assert known.ngrams.tolist() == keys("a", "cat")


def test_a_picture_keeps_the_mean_of_its_captions_unit_vectors():
    known = build_neighbour_index(features(), SAID, tiny_vocabulary(), min_pictures=1)
    first = slice(*known.starts[:2])
    weights = dict(
        zip(known.ngrams[known.columns[first]].tolist(), known.weights[first], strict=True)
    )
    # Bigrams of "a dog runs": "a dog" (of 2 pictures) and "dog runs" (of 1); of "a dog": "a dog".
    norm = math.hypot(math.log(4 / 2), math.log(4 / 1))
    assert weights[keys("a dog")[0]] == pytest.approx((math.log(2) / norm + 1) / 2, abs=1e-3)
    assert weights[keys("dog runs")[0]] == pytest.approx(math.log(4) / norm / 2, abs=1e-3)
    assert weights[keys("a dog runs")[0]] == pytest.approx(1 / 2, abs=1e-3)


def test_directions_along_few_axes_keep_the_cosines():
    """Of features that lie in a plane, two axes tell everything."""
    plane = torch.linalg.qr(torch.randn(40, 2, generator=torch.Generator().manual_seed(1)))[0]
    flat = torch.randn(30, 2, generator=torch.Generator().manual_seed(2)) @ plane.T + 5
    known = build_neighbour_index(flat, [["a dog"]] * 30, tiny_vocabulary(), dimensions=2)
    assert known.pictures.shape == (30, 2)
    assert known.pictures.dtype == np.int8
    assert np.abs(known.pictures).max(1).tolist() == [127] * 30
    centred = flat - flat.mean(0)
    expected = torch.cosine_similarity(centred[:, None], centred[None], dim=2)
    kept = torch.from_numpy(known.pictures).float()
    found = torch.cosine_similarity(kept[:, None], kept[None], dim=2)
    torch.testing.assert_close(found, expected, atol=0.02, rtol=0)


def test_the_first_axes_are_those_of_greatest_variance():
    spread = features(200, 5) * torch.tensor([1.0, 9.0, 0.1, 3.0, 0.5])
    known = build_neighbour_index(spread, [["a dog"]] * 200, tiny_vocabulary(), dimensions=2)
    assert np.abs(known.basis).argmax(0).tolist() == [1, 3]


def test_the_commonest_ngrams_are_kept_where_there_are_too_many(monkeypatch):
    monkeypatch.setattr("model.training.finalize.neighbours._MOST_NGRAMS", 2)
    known = build_neighbour_index(features(), SAID, tiny_vocabulary(), min_pictures=1)
    assert known.ngrams.tolist() == keys("a", "sits")


def test_a_vocabulary_whose_ngrams_cannot_be_numbered_is_refused():
    vocabulary = Vocabulary([*tiny_vocabulary().tokens, *(f"w{i}" for i in range(60_000))])
    with pytest.raises(ValueError, match="is too large for a consensus"):
        build_neighbour_index(features(), SAID, vocabulary)
