"""The caption of a whole clip, beside those of its frames."""

import math
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from model.captioning.captioner import Captioner
from model.captioning.clip import CaptionedClip, caption_clip
from model.captioning.scoring import score_tokens
from model.config import ConsensusConfig
from model.text.prefill import run_to_end
from tests.app.clips import still
from tests.tiny import rebuild, tiny_captioner, tiny_consensus

NAMES = ["dog", "pizza", "surfing", "plane", "city"]


@pytest.fixture(scope="module")
def bare() -> Captioner:
    return tiny_captioner()


@pytest.fixture(scope="module")
def agreeing(bare: Captioner) -> Captioner:
    reranker = tiny_consensus(bare, ConsensusConfig(rarity=0.1))
    config = replace(
        bare.config,
        decoding=bare.config.decoding.merge(consensus=True),
        consensus=reranker.config,
    )
    return rebuild(bare, config, reranker=reranker)


def frames(captioner: Captioner, names: list[str] = NAMES) -> np.ndarray:
    return captioner.prepare([still(name) for name in names])


def described(
    captioner: Captioner, pixels: np.ndarray, weights: list[int] | None = None, **options: object
) -> CaptionedClip:
    decoding = captioner.config.decoding.merge(**options)
    return run_to_end(caption_clip(captioner, pixels, decoding, weights=weights))


def test_frames_have_the_captions_that_their_pictures_have(agreeing: Captioner) -> None:
    clip = described(agreeing, frames(agreeing), num_captions=2)
    for name, captions in zip(NAMES, clip.frames, strict=True):
        alone = agreeing.caption(still(name), num_captions=2)
        assert [one.text for one in captions] == [one.text for one in alone]
        assert captions[0].logprob == pytest.approx(alone[0].logprob, abs=1e-4)


@pytest.mark.parametrize("name", ["bare", "agreeing"])
def test_a_clip_that_stands_still_has_the_caption_of_its_picture(
    name: str, request: pytest.FixtureRequest
) -> None:
    captioner: Captioner = request.getfixturevalue(name)
    clip = described(captioner, frames(captioner, ["dog"] * 6), num_captions=3)
    alone = captioner.caption(still("dog"), num_captions=3)
    assert [one.text for one in clip.captions] == [one.text for one in alone]
    for ours, theirs in zip(clip.captions, alone, strict=True):
        assert ours.logprob == pytest.approx(theirs.logprob, abs=1e-4)
        assert ours.agreement == pytest.approx(theirs.agreement, abs=1e-6)
        assert ours.confidence is None


@pytest.mark.parametrize("weights", [None, [1, 5, 1, 2, 1]])
def test_the_best_mean_over_the_frames_wins(bare: Captioner, weights: list[int] | None) -> None:
    # Noise far outside of what a picture has: a tiny captioner says the same of all pictures.
    pixels = np.random.default_rng(2).normal(0, 200, (5, *frames(bare, ["dog"]).shape[1:]))
    pixels = pixels.astype(np.float32)
    clip = described(bare, pixels, weights, num_captions=3, beam_size=3)
    candidates = {c.text: c for captions in clip.frames for c in captions if c.finished}
    assert 3 < len(candidates) <= 12
    scores = {}
    for text, caption in candidates.items():
        ids = [*bare.vocabulary.encode(text), bare.vocabulary.end_id]
        logprobs = []
        for i in range(5):
            context = bare.runner.encode_context(bare.encode(pixels[i : i + 1]))
            logprobs.append(math.fsum(score_tokens(bare.runner, context, [ids])[0]))
        mean = np.average(logprobs, weights=weights)
        penalty = bare.config.decoding.length_penalty
        scores[text] = mean / len(caption.tokens) ** penalty, mean
    expected = sorted(scores, key=scores.__getitem__, reverse=True)[:3]
    assert [one.text for one in clip.captions] == expected
    for one in clip.captions:
        assert one.logprob == pytest.approx(scores[one.text][1], abs=1e-3)
        assert one.logprob == pytest.approx(math.fsum(token.logprob for token in one.tokens))


def test_agreement_counts_as_it_does_for_a_picture(agreeing: Captioner) -> None:
    clip = described(agreeing, frames(agreeing), num_captions=3, beam_size=3)
    rank = agreeing.reranker
    scores = [
        rank.score(
            one.agreement, one.mean_logprob, rank.rarity(agreeing.vocabulary.encode(one.text))
        )
        for one in clip.captions
        if one.finished
    ]
    assert scores == sorted(scores, reverse=True)
    by_likelihood = described(agreeing, frames(agreeing), num_captions=3, consensus=False)
    penalised = [
        one.logprob / len(one.tokens) ** agreeing.config.decoding.length_penalty
        for one in by_likelihood.captions
        if one.finished
    ]
    assert penalised == sorted(penalised, reverse=True)


def test_a_single_frame_keeps_its_own_captions(agreeing: Captioner) -> None:
    clip = described(agreeing, frames(agreeing, ["dog"]))
    assert clip.captions == clip.frames[0]


def test_others_have_their_turn_after_a_few_frames(bare: Captioner) -> None:
    work = caption_clip(bare, frames(bare, ["dog", "city"] * 5), bare.config.decoding)
    turns = sum(1 for _ in work)
    assert turns == 3 + 10  # batches that are searched, and frames that are read


def test_drawn_captions_are_ranked_too(bare: Captioner) -> None:
    clip = described(bare, frames(bare), temperature=1.0, seed=3, num_captions=2)
    assert len(clip.captions) == 2
    texts = {one.text for captions in clip.frames for one in captions}
    assert {one.text for one in clip.captions} <= texts


def test_options_of_captions_reach_the_frames(bare: Captioner) -> None:
    pixels = bare.prepare([Image.new("RGB", (20, 20), colour) for colour in ("red", "navy")])
    clip = run_to_end(
        caption_clip(bare, pixels, bare.config.decoding, attention=True, top_logprobs=2)
    )
    token = clip.frames[1][0].tokens[0]
    assert token.attention is not None
    assert len(token.top or ()) == 2
    assert clip.captions[0].tokens[0].attention is None
