"""Summaries of what a study of gradients measures: quantiles over places, and training runs."""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np

from model.studies.clipping import ClippedTraining
from model.studies.flow import Floats
from model.studies.starts import Matrix

__all__ = ["ClippingCurve", "FlowCurve", "MatrixFlow"]


@dataclass(frozen=True)
class FlowCurve:
    """ratio(k) of one network for k = 0, 1, ...: its mean and quantiles over the places.

    Attributes:
        name, when: which network, and when or how it was made.
        part: the `state`, its `h` or `c` alone, or the `direct` path, see `direct_path`.
        low, median, high: the quantiles of 10%, 50% and 90%.
    """

    name: str
    when: str
    part: str
    mean: tuple[float, ...]
    low: tuple[float, ...]
    median: tuple[float, ...]
    high: tuple[float, ...]

    @classmethod
    def of(cls, name: str, when: str, part: str, ratios: Floats) -> Self:
        """Summarise a measurement (steps + 1, rows)."""
        quantiles = (tuple(np.quantile(ratios, q, axis=1).tolist()) for q in (0.1, 0.5, 0.9))
        return cls(name, when, part, tuple(ratios.mean(axis=1).tolist()), *quantiles)

    @property
    def factor(self) -> float | None:
        """Return the factor per step of the median, over the further half; None if it is zero."""
        last = len(self.median) - 1
        middle = last // 2
        if not (self.median[middle] and self.median[last]):
            return None
        grown = math.log(self.median[last]) - math.log(self.median[middle])
        return math.exp(grown / (last - middle))


@dataclass(frozen=True)
class MatrixFlow:
    """A recurrent matrix, see `Matrix`, and the flow through it."""

    kind: str
    radius: float
    largest: float
    smallest: float
    flow: FlowCurve

    @classmethod
    def of(cls, one: Matrix) -> Self:
        """Summarise a measurement."""
        flow = FlowCurve.of(
            "rnn", f"{one.kind}, spectral radius {one.radius:.3g}", "state", one.flow
        )
        return cls(one.kind, one.radius, one.largest, one.smallest, flow)


@dataclass(frozen=True)
class ClippingCurve:
    """A short training, see `ClippedTraining`.

    Attributes:
        spectral_radius: of the recurrent weights at the start.
        seed: of all weights at the start.
        flow: of the gradient after the training.
    """

    spectral_radius: float
    seed: int
    clip: float | None
    norms: tuple[float, ...]
    applied: tuple[float, ...]
    losses: tuple[float, ...]
    last_loss: float
    diverged: bool
    flow: FlowCurve

    @classmethod
    def of(cls, run: ClippedTraining, *, spectral_radius: float, seed: int) -> Self:
        """Summarise a training."""
        flow = FlowCurve.of("rnn", "trained", "state", run.flow)
        return cls(
            *(spectral_radius, seed, run.clip, run.norms, run.applied),
            *(run.losses, run.last_loss, run.diverged, flow),
        )

    @property
    def manner(self) -> str:
        """Describe whether and how the gradient was clipped."""
        return "without clipping" if self.clip is None else f"clipped to {self.clip:g}"
