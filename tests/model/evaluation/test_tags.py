"""How many tags are true, at each probability."""

import pytest

from model.captioning.tags import Tag
from model.evaluation.tags import measure_tags, said_words

CAPTIONS = [["A dog runs.", "the dogs are running"], ["a red ball"]]
TAGS = [
    [Tag("dog", 0.9, "noun"), Tag("runs", 0.5, "verb"), Tag("cat", 0.2, "noun")],
    [Tag("ball", 0.55, "noun"), Tag("blue", 0.3, "other")],
]


def test_precision_is_the_share_of_tags_that_a_person_says():
    measured = {
        (one.kind, one.min_probability): (one.per_picture, one.precision, one.probability)
        for one in measure_tags(TAGS, CAPTIONS)
    }
    assert measured[None, 0.1] == pytest.approx((2.5, 3 / 5, (0.9 + 0.5 + 0.2 + 0.55 + 0.3) / 5))
    assert measured[None, 0.5] == pytest.approx((1.5, 1.0, (0.9 + 0.5 + 0.55) / 3))
    assert measured["noun", 0.2] == pytest.approx((1.5, 2 / 3, 1.65 / 3))
    assert measured["verb", 0.6] == (0.0, None, None)
    assert measured["other", 0.3] == pytest.approx((0.5, 0.0, 0.3))
    assert len(measured) == 4 * 9


def test_the_first_five_captions_count():
    assert said_words(["One", "two's", "three", "four", "five", "six"]) == {
        "one", "two's", "three", "four", "five",
    }  # fmt: skip
