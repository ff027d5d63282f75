"""The chance that a caption is good, from how likely the captioner finds it.

    chance = sigmoid(intercept + sum of coefficient x feature)

Logistic regression on a few numbers (Platt 1999 scales one). `model.training.finalize.calibration`
defines what good means, and fits the numbers.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import mul

from model.config import CalibrationConfig, FeatureName

__all__ = ["FEATURES", "LEAST_AGREEMENT", "Evidence", "describe", "estimate_confidence"]

LEAST_AGREEMENT = 0.002  # of a caption that shares hardly a word with people's captions


@dataclass(frozen=True)
class Evidence:
    """The evidence for a caption that a search found.

    Attributes:
        logprobs: natural log-probability of each token, the end token's included.
        finished: whether it has its end token.
        beam_size: of the search.
        agreement: see `model.captioning.consensus`, 0 to 1; 0 without a consensus.
    """

    logprobs: Sequence[float]
    finished: bool
    beam_size: int
    agreement: float = 0.0


FEATURES: dict[FeatureName, Callable[[Evidence], float]] = {
    "mean_logprob": lambda given: math.fsum(given.logprobs) / len(given.logprobs),
    "logprob": lambda given: math.fsum(given.logprobs),
    "lowest_logprob": lambda given: min(given.logprobs),
    "tokens": lambda given: float(len(given.logprobs)),
    "finished": lambda given: float(given.finished),
    # A wider beam finds likelier captions, which are hardly better.
    "log_beam_size": lambda given: math.log(given.beam_size),
    "agreement": lambda given: given.agreement,
    "log_agreement": lambda given: math.log(max(given.agreement, LEAST_AGREEMENT)),
}


def describe(features: Sequence[FeatureName], evidence: Evidence) -> list[float]:
    """Return the features of a caption that a `CalibrationConfig` names."""
    return [FEATURES[name](evidence) for name in features]


def estimate_confidence(calibration: CalibrationConfig, evidence: Evidence) -> float:
    """Return the chance that a caption is good, 0 to 1."""
    values = describe(calibration.features, evidence)
    score = calibration.intercept + math.fsum(map(mul, calibration.coefficients, values))
    return 0.5 * (1 + math.tanh(score / 2))  # the sigmoid, in a form that never overflows
