"""What the steps of an epoch add up to."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["EpochLog"]


@dataclass
class EpochLog:
    """Sums over an epoch's steps; checkpoints hold them, so that a resumed epoch loses none.

    Attributes:
        steps: how many were taken.
        totals: the sum of each value that the loss watches.
        norms, finite_norms, largest_norm: the gradient norms that are finite: their sum, how many
            there are, and the largest.
        seconds: how long the steps took.
    """

    steps: int = 0
    totals: dict[str, float] = field(default_factory=dict)
    norms: float = 0.0
    finite_norms: int = 0
    largest_norm: float = 0.0
    seconds: float = 0.0

    def add(self, watched: Mapping[str, float], norm: float) -> None:
        """Add a step."""
        self.steps += 1
        for name, value in watched.items():
            self.totals[name] = self.totals.get(name, 0.0) + value
        if math.isfinite(norm):
            self.norms += norm
            self.finite_norms += 1
            self.largest_norm = max(self.largest_norm, norm)

    def means(self) -> dict[str, float]:
        """Return the mean of each watched value."""
        return {name: total / self.steps for name, total in self.totals.items()}

    def point(self) -> dict[str, float]:
        """Return the epoch as a point of the curve."""
        return {
            **self.means(),
            "gradient_norm": self.norms / max(1, self.finite_norms),
            "largest_gradient_norm": self.largest_norm,
            "seconds": self.seconds,
        }
