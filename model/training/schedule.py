"""Schedules as functions of progress alone, so that resuming is exact."""

import math

__all__ = ["learning_rate_factor", "sampling_probability"]


def learning_rate_factor(step: int, *, total: int, warmup: int, final: float) -> float:
    """Return the share of the peak learning rate at a step.

    It rises linearly over `warmup` steps and falls along half a cosine to `final` at `total`.
    """
    if step < warmup:
        return (step + 1) / warmup
    done = min(1.0, (step - warmup) / max(1, total - warmup))
    return final + (1 - final) * (1 + math.cos(math.pi * done)) / 2


def sampling_probability(epoch: int, *, epochs: int, last: float) -> float:
    """Return an epoch's probability of scheduled sampling: from 0 linearly to `last`."""
    return last * epoch / max(1, epochs - 1)
