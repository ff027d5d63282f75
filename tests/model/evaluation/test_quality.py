"""What a good caption is: as near to people's captions as most of people's own."""

import pytest

from model.evaluation.cider import DocumentFrequencies, cider_each
from model.evaluation.metrics import Scorer
from model.evaluation.quality import Judge, TooFewCaptions


def scorer_of(corpus) -> Scorer:
    return Scorer([[" ".join(c) for c in captions] for captions in corpus.references], java=False)


def test_references_are_compared_with_the_others_of_their_picture(corpus):
    scorer = scorer_of(corpus)
    reached = scorer.cider_of_references()
    assert len(reached) == sum(len(c) for c in corpus.references if len(c) > 1)
    frequencies = DocumentFrequencies.of(corpus.references)
    place = next(i for i, captions in enumerate(corpus.references) if len(captions) == 3)
    first, *others = corpus.references[place]
    before = sum(len(c) for c in corpus.references[:place] if len(c) > 1)
    (expected,) = cider_each([first], [others], frequencies=frequencies)
    assert reached[before] == pytest.approx(expected)


@pytest.mark.parametrize("level", [0.0, 0.25, 0.4, 0.9])
def test_the_level_is_the_share_of_peoples_captions_that_are_not_good(corpus, level):
    scorer = scorer_of(corpus)
    judge = Judge.at(level, scorer)
    reached = scorer.cider_of_references()
    below = sum(cider < judge.cider for cider in reached) / len(reached)
    assert below == pytest.approx(level, abs=0.02)


def test_captions_are_judged_by_what_they_reach(corpus):
    scorer = scorer_of(corpus)
    texts = [" ".join(tokens) for tokens in corpus.hypotheses]
    judge = Judge(scorer, 1.0)
    good = judge(texts)
    assert good == [cider >= 1.0 for cider in scorer.cider_each(texts)]
    assert 0 < sum(good) < len(good)


def test_pictures_with_one_caption_each_are_too_few():
    scorer = Scorer([["a dog"], ["a cat"]], java=False)
    assert scorer.cider_of_references() == []
    with pytest.raises(TooFewCaptions, match="only 0 reference captions"):
        Judge.at(0.4, scorer)
