import math

import pytest

from model.evaluation.cider import Cider, DocumentFrequencies, cider_each

ONE, OTHER = ["a", "dog", "runs", "fast"], ["two", "men", "sit", "down"]


def test_captions_equal_to_their_only_reference_score_ten():
    assert cider_each([ONE, OTHER], [[ONE], [OTHER]]) == pytest.approx([10, 10])


def test_captions_that_share_nothing_with_their_references_score_zero():
    assert cider_each([OTHER, ONE], [[ONE], [OTHER]]) == [0, 0]


def test_words_of_every_picture_are_worth_nothing():
    references = [[["a", "dog"]], [["a", "man"]]]
    assert cider_each([["a"], ["a"]], references) == [0, 0]


def test_repeating_a_word_is_clipped_and_its_length_punished():
    # By hand, with idf = ln 2: only n = 1 counts, its cosine clipped to half of 1, and the caption
    # is one word longer than the reference.
    references = [[["dog"]], [["man"]]]
    by_hand = 10 / 4 * 0.5 * math.exp(-1 / 72)
    assert cider_each([["dog", "dog"], ["man"]], references) == pytest.approx([by_hand, 2.5])


def test_plain_cider_neither_clips_nor_punishes():
    references = [[["dog"]], [["man"]]]
    metric = Cider(DocumentFrequencies.of(references), variant="CIDEr")
    scores = [
        metric.similarity(metric.vector(caption), [metric.vector(reference)])
        for caption, (reference,) in zip([["dog", "dog"], ["man"]], references, strict=True)
    ]
    assert scores == pytest.approx([2.5, 2.5])


def test_the_score_is_the_mean_over_references():
    both = cider_each([ONE, ["x"], ["y"]], [[ONE, ["b", "c", "d", "e"]], [["z"]], [["w"]]])[0]
    assert both == pytest.approx(5)


def test_document_frequencies_count_pictures_not_captions():
    frequencies = DocumentFrequencies.of([[["a", "a"], ["a", "b"]], [["a"]]])
    assert frequencies.pictures == 2
    assert frequencies.counts == {("a",): 2, ("b",): 1, ("a", "a"): 1, ("a", "b"): 1}


def test_given_document_frequencies_replace_those_of_the_references():
    # One picture alone would make every n-gram worth nothing.
    assert cider_each([ONE], [[ONE]]) == [0]
    frequencies = DocumentFrequencies.of([[ONE], [OTHER], [["zebra"]]])
    assert cider_each([ONE], [[ONE]], frequencies=frequencies) == pytest.approx([10])


def test_a_rare_word_weighs_more_than_a_common_one():
    frequencies = DocumentFrequencies({("dog",): 8, ("okapi",): 1}, pictures=16)
    metric = Cider(frequencies)
    reference = [metric.vector(["dog", "okapi"])]
    rare, common = (
        metric.similarity(metric.vector([word]), reference) for word in ("okapi", "dog")
    )
    # idf of 16/1 is four times that of 16/8.
    assert rare == pytest.approx(4 * common)


def test_agrees_with_coco_caption_picture_by_picture(corpus):
    coco = pytest.importorskip("pycocoevalcap.cider.cider")
    expected, expected_each = coco.Cider().compute_score(*corpus.for_coco())
    assert 0.5 < expected < 9
    scores = cider_each(*corpus)
    assert scores == pytest.approx(list(expected_each), abs=1e-9)
    assert sum(scores) / len(scores) == pytest.approx(expected, abs=1e-9)
