import math

import pytest

from model.evaluation.bleu import bleu, sentence_bleu


def test_a_repeated_word_counts_no_more_often_than_in_one_reference():
    # The example of Papineni et al. 2002, section 2.1.1.
    references = [
        ["the", "cat", "is", "on", "the", "mat"],
        ["there", "is", "a", "cat", "on", "the", "mat"],
    ]
    assert bleu([["the"] * 7], [references])[0] == pytest.approx(2 / 7)


def test_short_captions_pay_the_brevity_penalty():
    scores = bleu([["a", "b"]], [[["a", "b", "c", "d"]]])
    assert scores[:2] == pytest.approx([math.exp(-1), math.exp(-1)])


def test_of_two_lengths_as_near_the_shorter_counts():
    # 4 words against 3 and 5: were it 5, the penalty would be exp(-1/4).
    references = [["a", "b", "c"], ["a", "b", "c", "d", "e"]]
    assert bleu([["a", "b", "c", "d"]], [references])[0] == pytest.approx(1)


def test_precisions_are_of_the_corpus_not_of_each_picture():
    scores = bleu([["a"], ["b", "x", "y"]], [[["a"]], [["b", "c", "d"]]])
    assert scores[0] == pytest.approx(2 / 4)


def test_captions_equal_to_a_reference_score_one():
    assert bleu([["a", "b", "c", "d"]], [[["x"], ["a", "b", "c", "d"]]]) == pytest.approx([1] * 4)


def test_only_empty_captions_score_zero():
    assert bleu([[]], [[["a"]]]) == pytest.approx([0] * 4)


def test_agrees_with_coco_caption(corpus):
    coco = pytest.importorskip("pycocoevalcap.bleu.bleu")
    expected, _ = coco.Bleu(4).compute_score(*corpus.for_coco(), verbose=0)
    assert min(expected) > 0.1
    assert bleu(*corpus) == pytest.approx(expected, abs=1e-9)


def test_agrees_with_coco_caption_on_short_captions_with_nothing_in_common(corpus):
    coco = pytest.importorskip("pycocoevalcap.bleu.bleu")
    short = corpus._replace(hypotheses=[tokens[:2] for tokens in corpus.hypotheses])
    expected, _ = coco.Bleu(4).compute_score(*short.for_coco(), verbose=0)
    assert bleu(*short) == pytest.approx(expected, abs=1e-9)


def test_a_sentences_counts_are_smoothed():
    # Of a b c d: 3 of 4 words, 2 of 3 pairs, 1 of 2 triples, 0 of 1 quadruple; one reference.
    expected = (3 / 4 * 3 / 4 * 2 / 3 * 1 / 2) ** (1 / 4)
    assert sentence_bleu(list("abcd"), [list("abcx")]) == pytest.approx(expected)


def test_a_short_sentence_pays_the_brevity_penalty():
    assert sentence_bleu(list("ab"), [list("abc")]) == pytest.approx(math.exp(1 - 3 / 2))


@pytest.mark.parametrize("hypothesis", [[], ["y"], ["y", "z"]])
def test_a_sentence_with_no_word_in_common_is_worth_nothing(hypothesis):
    assert sentence_bleu(hypothesis, [["a", "b"]]) == 0


def test_a_sentence_that_was_said_is_worth_one():
    for said in (list("ab"), list("abcdefg")):
        assert sentence_bleu(said, [["x"], said]) == pytest.approx(1)
