import pytest

from model.evaluation.diversity import (
    Diversity,
    ends_badly,
    known_captions,
    measure_diversity,
    repeats,
)


def test_captions_are_measured_by_their_words():
    captions = ["A dog runs.", "a dog runs", "a man with a", "a dog and a dog"]
    assert measure_diversity(captions, known_captions(["A dog runs .", "A cat ."])) == Diversity(
        copied=0.5,
        vocabulary=6,
        distinct=3,
        mean_length=(3 + 3 + 4 + 5) / 4,
        repeating=0.25,
        ending_badly=0.25,
    )


def test_copies_are_unknown_without_training_captions():
    assert measure_diversity(["a dog"]).copied is None
    assert measure_diversity(["a dog"], known_captions([])).copied == 0


def test_no_captions_are_refused():
    with pytest.raises(ValueError, match="no captions"):
        measure_diversity([])


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("a man in a red shirt and a red shirt", True),
        ("a man in a red shirt and a woman in a red hat", True),
        ("a dog and a dog", True),
        ("dogs and dogs play", True),
        ("a dog and a cat", False),
        ("a dog and another dog", False),
        ("a man in a red shirt and a woman in a blue shirt", False),
        ("and", False),
        ("", False),
    ],
)
def test_repetition_is_found(caption, expected):
    assert repeats(caption.split()) is expected


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("a man with a", True),
        ("a dog on the", True),
        ("a dog and", True),
        ("", True),
        ("a dog runs by", False),
        ("a dog", False),
        ("on a hill", False),
        ("a boy in a red shirt is holding", True),
        ("a dog is running", False),
    ],
)
def test_unfinished_captions_are_found(caption, expected):
    assert ends_badly(caption.split()) is expected
