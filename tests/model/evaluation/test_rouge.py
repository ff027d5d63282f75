import pytest

from model.evaluation.rouge import longest_common_subsequence, rouge_l


@pytest.mark.parametrize(
    ("first", "second", "length"),
    [
        ("police kill the gunman", "police killed the gunman", 3),
        ("the gunman kill police", "police killed the gunman", 2),
        ("a b a b a", "b a b", 3),
        ("a b c", "c b a", 1),
        ("a", "b", 0),
    ],
)
def test_the_longest_common_subsequence_keeps_the_order(first, second, length):
    assert longest_common_subsequence(first.split(), second.split()) == length
    assert longest_common_subsequence(second.split(), first.split()) == length


def test_the_example_of_the_paper():
    # Lin 2004, section 3.1: precision and recall are both 3/4, so F is too, whatever beta.
    hypothesis = ["police", "kill", "the", "gunman"]
    reference = ["police", "killed", "the", "gunman"]
    assert rouge_l([hypothesis], [[reference]]) == pytest.approx(0.75)


def test_recall_weighs_more_than_precision():
    expected = (1 + 1.2**2) * 0.5 / (0.5 + 1.2**2)
    assert rouge_l([["a", "b"]], [[["a", "b", "c", "d"]]]) == pytest.approx(expected)


def test_precision_and_recall_may_come_from_different_references():
    # "a b x": precision 2/3 against the long reference, recall 1 against the short one.
    references = [["a", "b", "c", "d", "e", "f"], ["a"]]
    expected = (1 + 1.2**2) * (2 / 3) / (1 + 1.2**2 * 2 / 3)
    assert rouge_l([["a", "b", "x"]], [references]) == pytest.approx(expected)


def test_an_empty_caption_scores_zero():
    assert rouge_l([[]], [[["a"]]]) == 0


def test_agrees_with_coco_caption(corpus):
    coco = pytest.importorskip("pycocoevalcap.rouge.rouge")
    expected, _ = coco.Rouge().compute_score(*corpus.for_coco())
    assert 0.1 < expected < 0.9
    assert rouge_l(*corpus) == pytest.approx(expected, abs=1e-9)


def test_agrees_with_coco_caption_that_two_empty_captions_are_the_same():
    coco = pytest.importorskip("pycocoevalcap.rouge.rouge")
    expected, _ = coco.Rouge().compute_score({0: [""]}, {0: [""]})
    assert rouge_l([[]], [[[]]]) == expected == 1
