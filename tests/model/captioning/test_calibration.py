"""Confidence: a logistic function of log-probabilities and a few other numbers."""

import math

import pytest
from pydantic import ValidationError

from model.captioning.calibration import FEATURES, Evidence, describe, estimate_confidence
from model.captioning.captioner import Captioner
from model.config import CalibrationConfig, CaptionerConfig
from tests.model.captioning.test_captioner import pictures
from tests.tiny import CALIBRATION, save_finalized_captioner, tiny_captioner

LOGPROBS = (-0.5, -2.0, -0.25)


def test_the_features_of_a_caption():
    evidence = Evidence(LOGPROBS, finished=True, beam_size=3, agreement=0.2)
    found = dict(zip(FEATURES, describe(tuple(FEATURES), evidence), strict=True))
    assert found == {
        "mean_logprob": pytest.approx(-2.75 / 3),
        "logprob": -2.75,
        "lowest_logprob": -2.0,
        "tokens": 3.0,
        "finished": 1.0,
        "log_beam_size": pytest.approx(math.log(3)),
        "agreement": 0.2,
        "log_agreement": pytest.approx(math.log(0.2)),
    }
    evidence = Evidence(LOGPROBS, finished=False, beam_size=1)
    assert describe(("finished", "agreement"), evidence) == [0.0, 0.0]
    assert describe(("log_agreement",), evidence) == [math.log(0.002)]


def test_confidence_is_the_logistic_function_of_the_weighted_sum():
    config = CalibrationConfig(("logprob", "tokens"), (0.4, -0.1), 1.5, level=0.4)
    score = 1.5 + 0.4 * -2.75 - 0.1 * 3
    chance = estimate_confidence(config, Evidence(LOGPROBS, finished=True, beam_size=3))
    assert chance == pytest.approx(1 / (1 + math.exp(-score)))


@pytest.mark.parametrize(("scale", "chance"), [(1e6, 0.0), (-1e6, 1.0)])
def test_extreme_scores_do_not_overflow(scale, chance):
    config = CalibrationConfig(("logprob",), (scale,), 0.0, level=0.4)
    assert estimate_confidence(config, Evidence(LOGPROBS, finished=True, beam_size=1)) == chance


def test_an_unfinished_caption_has_no_confidence(tmp_path):
    captioner = Captioner.load(save_finalized_captioner(tmp_path / "b"), "cpu")
    cut = [
        caption
        for found in captioner.caption(pictures(6), beam_size=1, max_length=1)
        for caption in found
        if not caption.finished
    ]
    assert cut
    assert all(caption.confidence is None for caption in cut)


def test_captions_that_a_search_finds_have_a_confidence(tmp_path):
    captioner = Captioner.load(save_finalized_captioner(tmp_path / "b"), "cpu")
    for beam_size in (1, 4):
        for found in captioner.caption(pictures(2), beam_size=beam_size):
            for caption in found:
                evidence = Evidence(
                    [token.logprob for token in caption.tokens], caption.finished, beam_size
                )
                assert caption.finished
                assert caption.confidence == estimate_confidence(CALIBRATION, evidence)
    assert captioner.score(pictures(1)[0], "a dog runs").confidence is None


def test_sampled_captions_have_no_confidence(tmp_path):
    captioner = Captioner.load(save_finalized_captioner(tmp_path / "b"), "cpu")
    drawn = captioner.caption(pictures(4), temperature=0.5, num_captions=3, seed=1, max_length=40)
    assert any(caption.finished for found in drawn for caption in found)
    assert all(caption.confidence is None for found in drawn for caption in found)


def test_without_a_calibration_there_is_no_confidence():
    assert tiny_captioner().caption(pictures(1))[0][0].confidence is None


@pytest.mark.parametrize(
    "changes",
    [
        {"features": ()},
        {"features": ("beauty",)},
        {"coefficients": (1.0,)},
        {"coefficients": (1.0, float("nan"))},
        {"level": 1.0},
        {"level": -0.1},
    ],
    ids=str,
)
def test_an_invalid_calibration_is_refused(changes):
    sound = {
        "features": ("logprob", "tokens"), "coefficients": (1.0, 2.0), "intercept": 0.0,
        "level": 0.4,
    }  # fmt: skip
    CalibrationConfig(**sound)
    with pytest.raises(ValidationError):
        CalibrationConfig(**sound | changes)


def test_a_configuration_needs_no_calibration():
    fields = CaptionerConfig.__dataclass_fields__
    assert fields["calibration"].default is None
    assert fields["golden"].default == ()
