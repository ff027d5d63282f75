"""The chance that a caption is good, from how likely the captioner finds it.

    chance = sigmoid(intercept + sum of coefficient x feature)

Logistic regression on a few numbers (Platt 1999 scales one). What good means, and how the numbers
are fitted, is `model.evaluation.calibration`'s business; this knows log-probabilities only.
"""

import math
from collections.abc import Callable, Sequence
from operator import mul

from model.config import CalibrationConfig, FeatureName

__all__ = ["FEATURES", "describe", "estimate_confidence"]

Feature = Callable[[Sequence[float], bool, int], float]

FEATURES: dict[FeatureName, Feature] = {
    "mean_logprob": lambda logprobs, *_: math.fsum(logprobs) / len(logprobs),
    "logprob": lambda logprobs, *_: math.fsum(logprobs),
    "lowest_logprob": lambda logprobs, *_: min(logprobs),
    "tokens": lambda logprobs, *_: float(len(logprobs)),
    "finished": lambda _, finished, __: float(finished),
    # A wider beam finds likelier captions, which are hardly better.
    "log_beam_size": lambda *given: math.log(given[2]),
}


def describe(
    features: Sequence[FeatureName], logprobs: Sequence[float], *, finished: bool, beam_size: int
) -> list[float]:
    """Give a caption's features.

    Args:
        features: which, see `CalibrationConfig`.
        logprobs: natural log-probability of each token, the end token's included.
        finished: whether the end token is there.
        beam_size: of the search that found it.
    """
    return [FEATURES[name](logprobs, finished, beam_size) for name in features]


def estimate_confidence(
    calibration: CalibrationConfig, logprobs: Sequence[float], *, finished: bool, beam_size: int
) -> float:
    """Give the chance that a caption is good, 0 to 1; arguments as in `describe`."""
    values = describe(calibration.features, logprobs, finished=finished, beam_size=beam_size)
    score = calibration.intercept + math.fsum(map(mul, calibration.coefficients, values))
    return 0.5 * (1 + math.tanh(score / 2))  # the sigmoid, in a form that never overflows
