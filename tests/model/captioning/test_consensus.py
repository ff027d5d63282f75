"""Agreement against CIDEr itself, the order of captions, and that probabilities stay the same."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from model.captioning.captioner import Captioner
from model.captioning.consensus import ConsensusReranker
from model.config import CaptionerConfig, ConsensusConfig
from model.decoding.hypothesis import Hypothesis
from model.evaluation.cider import Cider, DocumentFrequencies
from model.training.finalize.neighbours import build_neighbour_index
from model.vocabulary import Vocabulary
from tests.model.captioning.test_captioner import pictures
from tests.tiny import (
    rebuild,
    save_finalized_captioner,
    tiny_captioner,
    tiny_consensus,
    tiny_vocabulary,
)

SAID = [
    ["a dog runs on grass", "the red dog runs", "a dog and a ball"],
    ["a woman sits in the water"],
    ["a man sits on grass", "a man sits"],
    ["the cat sits in the grass", "a cat", "a cat in grass"],
]
# Centred, they point along different half-axes.
FEATURES = torch.tensor([[3.0, 0, 1], [-3, 0, 1], [0, 2, 1], [0, -2, 1]])


def make(config: ConsensusConfig, said: list[list[str]] = SAID) -> ConsensusReranker:
    known = build_neighbour_index(FEATURES, said, tiny_vocabulary(), min_pictures=1)
    return ConsensusReranker(known, config, len(tiny_vocabulary()))


def agreement(consensus: ConsensusReranker, feature: Tensor, text: str) -> float:
    """By the host's lookups, and by tensors."""
    tokens = [*tiny_vocabulary().encode(text), Vocabulary.end_id]
    ((found,),) = consensus.agreements(feature[None], [[tokens]])
    padded = torch.tensor([[[*tokens, 0, 0]]])
    assert consensus.batched("cpu").agreements(feature[None], padded).item() == pytest.approx(
        found, abs=1e-6
    )
    return found


@pytest.mark.parametrize(
    "text",
    ["a dog runs on grass", "a cat sits on the ball", "a dog", "water", "woman woman woman woman"],
)
@pytest.mark.parametrize("picture", range(4))
def test_with_one_neighbour_agreement_is_clipped_cider_with_its_captions(text, picture):
    words = [[caption.split() for caption in captions] for captions in SAID]
    cider = Cider(DocumentFrequencies.of(words), variant="CIDEr-D")
    cider._sigma = math.inf  # agreement does not depend on length
    references = [cider.vector(caption) for caption in words[picture]]
    expected = cider.similarity(cider.vector(text.split()), references) / 10
    found = agreement(make(ConsensusConfig(neighbours=1)), FEATURES[picture], text)
    assert found == pytest.approx(expected, abs=2e-3)  # half precision


def test_repeating_a_word_gains_nothing():
    consensus = make(ConsensusConfig(neighbours=1))
    once, twice = (agreement(consensus, FEATURES[0], text) for text in ("a dog", "a dog a dog"))
    assert 0 < twice < once


def test_neighbours_count_by_their_cosines():
    feature = torch.tensor([3.0, 1.0, 1.0])
    directions = FEATURES - FEATURES.mean(0)
    cosines = torch.cosine_similarity(directions, (feature - FEATURES.mean(0))[None])
    config = ConsensusConfig(neighbours=3, temperature=0.5)
    nearest = cosines.topk(3).indices
    shares = (cosines[nearest] / 0.5).softmax(0)
    alone = make(ConsensusConfig(neighbours=1))
    expected = sum(
        float(share) * agreement(alone, FEATURES[index], "a dog runs")
        for share, index in zip(shares, nearest, strict=True)
    )
    found = agreement(make(config), feature, "a dog runs")
    assert found == pytest.approx(expected, abs=2e-3)


def test_more_neighbours_than_pictures_takes_all_pictures():
    found = agreement(make(ConsensusConfig(neighbours=99)), FEATURES[0], "a dog runs")
    assert found == agreement(make(ConsensusConfig(neighbours=4)), FEATURES[0], "a dog runs") > 0


def test_a_caption_without_words_agrees_with_nothing():
    consensus = make(ConsensusConfig())
    assert consensus.agreements(FEATURES[:1], [[[Vocabulary.end_id], []]]) == [[0.0, 0.0]]


def test_no_pictures_have_no_agreements():
    assert make(ConsensusConfig()).agreements(FEATURES[:0], []) == []


def hypothesis(text: str, logprob: float, *, finished: bool = True) -> Hypothesis:
    tokens = tiny_vocabulary().encode(text)
    return Hypothesis(tuple(tokens), (logprob / len(tokens),) * len(tokens), finished)


def test_captions_are_ordered_by_agreement_and_likelihood():
    likely, agreeing = hypothesis("a blue ball", -1.0), hypothesis("a dog runs", -4.0)
    cut = hypothesis("a dog runs on grass", -2.0, finished=False)
    found = [[likely, agreeing, cut]]
    for likelihood, first in ((0.0, agreeing), (1000.0, likely)):
        consensus = make(ConsensusConfig(neighbours=1, likelihood=likelihood))
        (ranked,) = consensus.rank(FEATURES[:1], found)
        assert ranked[0].hypothesis is first
        assert ranked[2].hypothesis is cut  # whatever it agrees with
        (as_found,) = consensus.rank(FEATURES[:1], found, reorder=False)
        assert [one.hypothesis for one in as_found] == found[0]
        assert {one.hypothesis: one.agreement for one in ranked} == {
            one.hypothesis: one.agreement for one in as_found
        }


def test_equals_keep_their_order():
    twins = [hypothesis("a red cat", -3.0), hypothesis("a red cat", -3.0)]
    (ranked,) = make(ConsensusConfig()).rank(FEATURES[:1], [twins])
    assert [one.hypothesis for one in ranked] == twins
    assert ranked[0].hypothesis is twins[0]


@pytest.fixture(scope="module")
def captioner() -> Captioner:
    bare = tiny_captioner()
    reranker = tiny_consensus(bare)
    return rebuild(bare, replace(bare.config, consensus=reranker.config), reranker=reranker)


def test_a_search_reorders_the_captions_of_its_beam(captioner):
    options = {"beam_size": 6, "num_captions": 6, "max_length": 9}
    reordered = False
    for picture in pictures(8):
        (plain,) = captioner.caption([picture], consensus=False, **options)
        (agreeing,) = captioner.caption([picture], consensus=True, **options)
        likelihood = captioner.config.consensus.likelihood
        expected = sorted(
            plain, key=lambda one: (one.finished, one.agreement + likelihood * one.mean_logprob)
        )
        assert agreeing == expected[::-1]
        (best,) = captioner.caption([picture], consensus=True, beam_size=6, max_length=9)
        assert len(best) == 1
        reordered |= agreeing != plain
    assert reordered


def test_more_candidates_agree_better_and_take_no_more_steps(captioner, monkeypatch):
    config = replace(captioner.reranker.config, candidates=4)
    reranker = ConsensusReranker(captioner.reranker.index, config, len(captioner.vocabulary))
    wider = rebuild(captioner, replace(captioner.config, consensus=config), reranker=reranker)
    steps = []
    step = captioner.runner.step
    monkeypatch.setattr(captioner.runner, "step", lambda *given: steps.append(1) or step(*given))
    options = {"beam_size": 2, "consensus": True, "max_length": 9, "length_penalty": 0.8}
    better = False
    for picture in pictures(12):
        counts, scores = [], []
        for one in (captioner, wider):
            steps.clear()
            ((best,),) = one.caption([picture], **options)
            counts.append(len(steps))
            scores.append(best.agreement + config.likelihood * best.mean_logprob)
        assert counts[0] == counts[1]
        assert scores[1] >= scores[0]
        better |= scores[1] > scores[0]
        traced, trace = wider.trace(picture, num_captions=2, **options)
        assert traced == wider.caption([picture], num_captions=2, **options)[0]
        assert trace
    assert better


def test_a_batch_gives_what_one_by_one_gives(captioner):
    options = {"beam_size": 5, "consensus": True, "max_length": 9, "length_penalty": 0.8}
    for num_captions in (1, 3):
        together = captioner.caption(pictures(12), num_captions=num_captions, **options)
        for picture, captions in zip(pictures(12), together, strict=True):
            (alone,) = captioner.caption([picture], num_captions=num_captions, **options)
            assert [one.text for one in alone] == [one.text for one in captions]
            for one, many in zip(alone, captions, strict=True):
                assert one.logprob == pytest.approx(many.logprob, abs=1e-4)
                assert one.agreement == pytest.approx(many.agreement, abs=1e-4)


def test_reranked_captions_keep_their_exact_logprobs(captioner):
    (picture,) = pictures(1)
    (found,) = captioner.caption([picture], beam_size=4, num_captions=4, consensus=True)
    for caption in found:
        scored = captioner.score(picture, caption.text)
        assert scored.logprob == pytest.approx(caption.logprob, abs=1e-4)
        assert scored.agreement is None


def test_confidence_can_depend_on_agreement(tmp_path):
    loaded = Captioner.load(save_finalized_captioner(tmp_path / "b"), "cpu")
    calibration = replace(
        loaded.config.calibration, features=("agreement",), coefficients=(3.0,), intercept=-1.0
    )
    config = replace(loaded.config, calibration=calibration)
    captioner = rebuild(loaded, config, reranker=tiny_consensus(loaded))
    for consensus in (False, True):
        for caption in captioner.caption(pictures(1), num_captions=3, consensus=consensus)[0]:
            expected = 1 / (1 + math.exp(1 - 3 * caption.agreement))
            assert caption.confidence == pytest.approx(expected)


def test_consensus_without_a_neighbour_index_is_refused():
    captioner = tiny_captioner()
    with pytest.raises(
        ValueError, match=r"consensus needs a neighbour index, which .* 'tiny' lacks"
    ):
        captioner.caption(pictures(1), consensus=True)
    (plain,) = captioner.caption(pictures(1), consensus=False)
    assert plain[0].agreement is None


@pytest.mark.parametrize("part", ["decoding", "calibration"])
def test_a_configuration_that_asks_for_a_missing_consensus_is_refused(tmp_path, part):
    config = Captioner.load(save_finalized_captioner(tmp_path / "b"), "cpu").config
    calibration = replace(config.calibration, features=("agreement",), coefficients=(1.0,))
    changes = {
        "decoding": {"calibration": None},
        "calibration": {
            "calibration": calibration,
            "decoding": replace(config.decoding, consensus=False),
        },
    }
    with pytest.raises(ValueError, match="ask for a consensus, and the bundle has none"):
        replace(config, consensus=None, **changes[part])
    assert isinstance(replace(config, **changes[part]), CaptionerConfig)
