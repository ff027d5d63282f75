"""Agreement by its formula, the order of captions, and that probabilities stay the same."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from model.bundle.format import BundleError
from model.captioning.captioner import Captioner
from model.captioning.consensus import ConsensusReranker
from model.captioning.expected_words import ExpectedWords
from model.config import CaptionerConfig, ConsensusConfig
from model.decoding.hypothesis import Hypothesis, RankedHypothesis
from model.decoding.results import TracedArrays, read_traced
from model.training.finalize.expected_words import fit_expected_words
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


def make(config: ConsensusConfig) -> ConsensusReranker:
    words = fit_expected_words(FEATURES, SAID, tiny_vocabulary(), min_pictures=1)
    return ConsensusReranker(words, config, len(tiny_vocabulary()))


def agreement(consensus: ConsensusReranker, feature: Tensor, text: str) -> float:
    """Compute it with NumPy's arrays, and with tensors."""
    tokens = [*tiny_vocabulary().encode(text), Vocabulary.end_id]
    ((found,),) = consensus.agreements(feature[None].numpy(), [[tokens]])
    assert consensus.agreements(feature[None], [[tokens]]) == [[pytest.approx(found, abs=1e-6)]]
    return found


@pytest.mark.parametrize(
    "text",
    ["a dog runs on grass", "a cat sits on the ball", "a dog", "water", "woman woman woman woman"],
)
@pytest.mark.parametrize("picture", range(4))
def test_agreement_is_the_cosine_of_tf_idf_vectors(text, picture):
    words = make(ConsensusConfig()).words
    shares = FEATURES[picture].numpy() @ (words.weights * words.scales) + words.shares
    tokens = tiny_vocabulary().encode(text)
    rarity = dict(zip(words.tokens.tolist(), words.rarity.tolist(), strict=True))
    expected = {
        token: max(0, share) * rarity[token]
        for token, share in zip(words.tokens.tolist(), shares.tolist(), strict=True)
    }
    ours = {token: tokens.count(token) * rarity[token] for token in tokens if token in rarity}
    shared = sum(rarity[token] * expected[token] for token in ours if token in rarity)
    cosine = shared / math.hypot(*ours.values()) / math.hypot(*expected.values())
    found = agreement(make(ConsensusConfig()), FEATURES[picture], text)
    assert found == pytest.approx(cosine, abs=1e-6)


def test_what_people_said_of_the_picture_agrees_best():
    for picture, feature in enumerate(FEATURES):
        own, *others = (
            max(agreement(make(ConsensusConfig()), feature, text) for text in SAID[i])
            for i in (picture, *(other for other in range(4) if other != picture))
        )
        assert own > max(others)


def test_repeating_a_word_gains_nothing():
    once, again = (
        agreement(make(ConsensusConfig()), FEATURES[0], text) for text in ("a dog", "a dog dog")
    )
    assert once > again > 0


def test_a_word_that_was_never_seen_counts_for_nothing():
    vocabulary = tiny_vocabulary()
    consensus = make(ConsensusConfig())
    assert vocabulary.encode("blue")[0] not in consensus.words.tokens
    with_it = agreement(consensus, FEATURES[0], "a blue dog")
    assert with_it == agreement(consensus, FEATURES[0], "a dog") > 0


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
        consensus = make(ConsensusConfig(likelihood=likelihood))
        (ranked,) = consensus.rank(FEATURES[:1], found)
        assert ranked[0].hypothesis is first
        assert ranked[2].hypothesis is cut  # whatever it agrees with
        (as_found,) = consensus.rank(FEATURES[:1], found, reorder=False)
        assert [one.hypothesis for one in as_found] == found[0]
        assert {one.hypothesis: one.agreement for one in ranked} == {
            one.hypothesis: one.agreement for one in as_found
        }


def test_of_two_that_agree_as_well_the_one_that_says_more_comes_first():
    common, rare = hypothesis("a dog runs", -1.0), hypothesis("a ball in the water", -1.0)
    plain, specific = (make(ConsensusConfig(likelihood=0.0, rarity=rarity)) for rarity in (0, 50))
    assert plain.rarity(common.tokens) < plain.rarity(rare.tokens)
    assert plain.rank(FEATURES[:1], [[rare, common]])[0][0].hypothesis is common
    assert specific.rank(FEATURES[:1], [[common, rare]])[0][0].hypothesis is rare


def test_rarity_is_the_mean_of_the_three_rarest_words():
    consensus = make(ConsensusConfig())
    rarity = dict(
        zip(consensus.words.tokens.tolist(), consensus.words.rarity.tolist(), strict=True)
    )
    tokens = tiny_vocabulary().encode("a red dog runs on grass and a red ball")
    rarest = sorted({token: rarity[token] for token in tokens}.values())[-3:]
    assert consensus.rarity(tokens) == pytest.approx(sum(rarest) / 3)
    (dog,) = tiny_vocabulary().encode("dog")
    assert consensus.rarity([dog, dog, Vocabulary.end_id]) == pytest.approx(rarity[dog] / 3)
    assert consensus.rarity([Vocabulary.end_id]) == 0


def test_equals_keep_their_order():
    twins = [hypothesis("a red cat", -3.0), hypothesis("a red cat", -3.0)]
    (ranked,) = make(ConsensusConfig()).rank(FEATURES[:1], [twins])
    assert [one.hypothesis for one in ranked] == twins
    assert ranked[0].hypothesis is twins[0]


WORDS, CHANNELS, STEPS, END = 9, 12, 8, 2


def draw_captions(rng: np.random.Generator, count: int) -> list[list[int]]:
    """Draw captions of few words, which repeat themselves; some without an end."""
    drawn = [
        [
            *rng.integers(4, 4 + WORDS, rng.integers(0, STEPS)).tolist(),
            *[END] * (rng.random() < 0.8),
        ]
        for _ in range(count)
    ]
    return [tokens for tokens in drawn if tokens]


def draw_reranker(rng: np.random.Generator) -> ConsensusReranker:
    count = WORDS - 2  # two words are not expected at all
    words = ExpectedWords(
        tokens=np.sort(4 + rng.permutation(WORDS)[:count]).astype(np.int32),
        weights=rng.integers(-127, 128, (CHANNELS, count)).astype(np.int8),
        scales=rng.uniform(0, 0.01, count).astype(np.float32),
        shares=rng.uniform(0, 1, count).astype(np.float32),
        rarity=rng.uniform(0.1, 5, count).astype(np.float32),
    )
    return ConsensusReranker(words, ConsensusConfig(likelihood=0.1, rarity=0.05), WORDS + 4)


def as_arrays(found: list[list[Hypothesis]], results: int) -> TracedArrays:
    """Return hypotheses as a search has them on its device."""
    shape = (len(found), results)
    tokens, logprobs = (
        torch.zeros(*shape, STEPS, dtype=kind) for kind in (torch.int64, torch.float32)
    )
    lengths, finished = (torch.zeros(shape, dtype=kind) for kind in (torch.int64, torch.bool))
    for i, hypotheses in enumerate(found):
        for j, one in enumerate(hypotheses):
            length = len(one.tokens)
            tokens[i, j, :length] = torch.tensor(one.tokens)
            logprobs[i, j, :length] = torch.tensor(one.logprobs)
            lengths[i, j], finished[i, j] = length, one.finished
    return TracedArrays(tokens, logprobs, lengths, finished, torch.full(shape, math.nan))


def plain(ranked: list[list[RankedHypothesis]]) -> list[list[tuple[int, ...]]]:
    return [[one.hypothesis.tokens for one in best] for best in ranked]


@pytest.mark.parametrize("reorder", [True, False])
@pytest.mark.parametrize("seed", range(8))
def test_arrays_are_ranked_as_lists_are(seed, reorder):
    rng = np.random.default_rng(seed)
    reranker = draw_reranker(rng)
    found = []
    for _ in range(6):
        drawn = sorted(draw_captions(rng, 7), key=lambda tokens: END not in tokens)
        found.append(
            [
                Hypothesis(tuple(t), tuple(rng.uniform(-3, 0, len(t)).astype(np.float32)), END in t)
                for t in drawn
            ]
        )
    grid = torch.tensor(rng.normal(size=(6, 2, 3, CHANNELS)), dtype=torch.float32)
    expected = reranker.rank(grid.mean((1, 2)).numpy(), found, reorder=reorder)
    ranked = read_traced(reranker.rerank(grid, as_arrays(found, 7), reorder=reorder))
    assert plain(ranked) == plain(expected)
    for best, known in zip(ranked, expected, strict=True):
        agreements = [[one.agreement for one in row] for row in (best, known)]
        assert agreements[0] == pytest.approx(agreements[1], abs=1e-5)
        assert [one.hypothesis for one in best] == [one.hypothesis for one in known]
        assert all(0 <= one.agreement <= 1 for one in best)


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
    reranker = ConsensusReranker(captioner.reranker.words, config, len(captioner.vocabulary))
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


def test_consensus_without_expected_words_is_refused():
    captioner = tiny_captioner()
    with pytest.raises(
        ValueError, match=r"consensus needs a table of expected words, which .* 'tiny' lacks"
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


def test_a_bundle_with_a_consensus_of_before_says_what_to_do(tmp_path):
    folder = save_finalized_captioner(tmp_path / "b")
    config = json.loads((folder / "config.json").read_text())
    config["consensus"] = {"neighbours": 20, "temperature": 0.2, "likelihood": 0.1}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(BundleError, match=r"before version 4\.3.* `unrolled finalize captioner`"):
        Captioner.load(folder, "cpu")
