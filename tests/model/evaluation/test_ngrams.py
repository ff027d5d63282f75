import pytest

from model.evaluation.ngrams import check_pairs, count_ngrams


def test_ngrams_are_counted_with_overlap():
    assert count_ngrams(["a", "b", "a", "b"], 2) == {("a", "b"): 2, ("b", "a"): 1}


def test_a_caption_shorter_than_the_ngram_has_none():
    assert count_ngrams(["a"], 2) == {}


@pytest.mark.parametrize(
    ("hypotheses", "references", "message"),
    [
        ([], [], "no captions"),
        ([["a"]], [], "1 captions cannot be scored against the references of 0 pictures"),
        ([["a"]], [[]], "no reference captions"),
    ],
)
def test_what_does_not_pair_up_is_refused(hypotheses, references, message):
    with pytest.raises(ValueError, match=message):
        check_pairs(hypotheses, references)
