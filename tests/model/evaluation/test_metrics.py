import pytest

from model.evaluation import java
from model.evaluation.metrics import Scorer
from model.evaluation.tokenizer import JAVA, PYTHON

REFERENCES = [["A dog runs fast .", "The DOG runs ."], ["Two men sit down ."]]


def test_a_caption_equal_to_its_reference_but_for_case_and_punctuation_is_perfect():
    scorer = Scorer([REFERENCES[0][:1], REFERENCES[1]], java=False)
    scores = scorer.score(["a dog runs fast", "two men sit down"])
    assert (scores.bleu_1, scores.bleu_2, scores.bleu_3, scores.bleu_4) == pytest.approx((1,) * 4)
    assert (scores.rouge_l, scores.cider) == pytest.approx((1, 10))
    assert (scores.meteor, scores.tokenizer) == (None, PYTHON)


def test_bleu_orders_are_not_mixed_up():
    scores = Scorer(REFERENCES, java=False).score(["a dog runs", "two men"])
    assert scores.bleu_1 > scores.bleu_2 > scores.bleu_3 > scores.bleu_4


def test_one_scorer_serves_many_sets_of_captions():
    scorer = Scorer(REFERENCES, java=False)
    for captions in (["a dog runs", "two men"], ["a cat", "two men sit"]):
        assert scorer.score(captions) == Scorer(REFERENCES, java=False).score(captions)


def test_the_pictures_cider_values_average_to_the_corpus_one():
    captions = ["a dog runs", "a zebra"]
    scorer = Scorer(REFERENCES, java=False)
    each = scorer.cider_each(captions)
    assert each[0] > each[1] == 0
    assert sum(each) / 2 == pytest.approx(scorer.score(captions).cider)


def test_captions_without_references_are_refused():
    with pytest.raises(ValueError, match="references of 2 pictures"):
        Scorer(REFERENCES, java=False).score(["a dog"])
    with pytest.raises(ValueError, match="no reference captions"):
        Scorer([["a dog"], []])


@pytest.mark.slow
@pytest.mark.skipif(java.find(java.METEOR) is None, reason="Java or pycocoevalcap is missing")
def test_java_adds_meteor_and_changes_nothing_else():
    captions = ["a dog runs fast", "two men sit down"]
    with_java, without = (Scorer(REFERENCES, java=java).score(captions) for java in (None, False))
    assert with_java.meteor == pytest.approx(1)
    assert with_java.tokenizer == JAVA
    assert with_java.cider == without.cider
    assert with_java.bleu_4 == without.bleu_4
