"""Measure calibration: reliability curves, expected calibration error and the Brier score.

Guo et al. 2017, "On Calibration of Modern Neural Networks"; Brier 1950.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Bin", "Reliability", "Threshold", "measure_reliability"]

_DRAWS = 200


@dataclass(frozen=True)
class Bin:
    """A bin of captions: its edges, their number, mean confidence and the share that is good."""

    low: float
    high: float
    count: int
    confidence: float
    good: float


@dataclass(frozen=True)
class Threshold:
    """What is left of captions if those with a lower confidence are dropped.

    `kept` is the share that is left, and `wrong` the share of these that is not good (None if
    nothing is left).
    """

    min_confidence: float
    kept: float
    wrong: float | None


@dataclass(frozen=True)
class Reliability:
    """How well confidences and outcomes agree; all numbers except counts are 0 to 1.

    Attributes:
        count: captions.
        confidence, good: the mean confidence, and the share that was good.
        ece: expected calibration error (Guo et al. 2017, equation 3) over bins of equal width.
        ece_equal_mass: the same over bins that hold equally many captions.
        ece_by_chance: what `ece` would be on average for so many captions if every confidence
            were true: outcomes are drawn from the confidences (Bröcker and Smith 2007).
        brier: the mean of (confidence - outcome) ** 2; a constant confidence of `good` has
            good * (1 - good).
        equal_width, equal_mass: the bins, in order, empty ones left out.
        thresholds: what each `min_confidence` keeps, from 0 to 0.9 in steps of a tenth.
    """

    count: int
    confidence: float
    good: float
    ece: float
    ece_equal_mass: float
    ece_by_chance: float
    brier: float
    equal_width: tuple[Bin, ...]
    equal_mass: tuple[Bin, ...]
    thresholds: tuple[Threshold, ...] = ()


def measure_reliability(confidences: Tensor, good: Tensor, *, bins: int = 10) -> Reliability:
    """Compare confidences with outcomes.

    Args:
        confidences: 0 to 1 (captions,)
        good: whether each caption was good, boolean (captions,)
        bins: how many. Of equal-width bins, bin m holds ((m - 1) / bins, m / bins], and the first 0
            too; the counts of equal-mass bins differ by one at most.

    Raises:
        ValueError: there are no captions, their shapes differ, or a number is out of its
            range.
    """
    if confidences.shape != good.shape or confidences.ndim != 1 or not len(good):
        raise ValueError(
            f"confidences {tuple(confidences.shape)} and outcomes {tuple(good.shape)} must "
            "have the same length, at least 1"
        )
    if bins < 1 or not ((confidences >= 0) & (confidences <= 1)).all():
        raise ValueError("confidences must be 0 to 1, and there must be at least one bin")
    chances, order = confidences.double().sort(stable=True)
    outcomes = good[order].double()
    width = (chances * bins).ceil().long().clamp(1, bins) - 1
    mass = torch.arange(len(chances)) * bins // len(chances)
    generator = torch.Generator().manual_seed(0)
    by_chance = [
        _calibration_error(chances, torch.bernoulli(chances, generator=generator), width)
        for _ in range(_DRAWS)
    ]
    return Reliability(
        count=len(chances),
        confidence=float(chances.mean()),
        good=float(outcomes.mean()),
        ece=_calibration_error(chances, outcomes, width),
        ece_equal_mass=_calibration_error(chances, outcomes, mass),
        ece_by_chance=sum(by_chance) / _DRAWS,
        brier=float((chances - outcomes).square().mean()),
        equal_width=tuple(
            _bin(chances, outcomes, width == m, m / bins, (m + 1) / bins)
            for m in sorted(set(width.tolist()))
        ),
        equal_mass=tuple(_bin(chances, outcomes, mass == m) for m in sorted(set(mass.tolist()))),
        thresholds=tuple(_threshold(chances, outcomes, tenth / 10) for tenth in range(10)),
    )


def _threshold(chances: Tensor, outcomes: Tensor, least: float) -> Threshold:
    """Describe the captions whose confidence is not below a threshold."""
    kept = outcomes[chances >= least]
    wrong = float(1 - kept.mean()) if len(kept) else None
    return Threshold(least, len(kept) / len(outcomes), wrong)


def _calibration_error(chances: Tensor, outcomes: Tensor, places: Tensor) -> float:
    """Sum over bins of |good - confidence| times the bin's share of all captions.

    Args:
        chances: (captions,)
        outcomes: 0 or 1 (captions,)
        places: the bin of each caption (captions,)
    """
    return float(torch.bincount(places, outcomes - chances).abs().sum()) / len(chances)


def _bin(
    chances: Tensor,
    outcomes: Tensor,
    inside: Tensor,
    low: float | None = None,
    high: float | None = None,
) -> Bin:
    """Describe a bin; its edges are by default the least and the greatest confidence in it."""
    confidences = chances[inside]
    return Bin(
        low=float(confidences[0]) if low is None else low,
        high=float(confidences[-1]) if high is None else high,
        count=len(confidences),
        confidence=float(confidences.mean()),
        good=float(outcomes[inside].mean()),
    )
