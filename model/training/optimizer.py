"""Groups of parameters for the optimizer, and the moving average of a network's weights."""

from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["parameter_groups", "update_average"]


def parameter_groups(module: nn.Module, peak: float, weight_decay: float) -> list[dict[str, Any]]:
    """Group a module's trained parameters: weight decay applies to matrices only.

    Each group keeps the peak of its learning rate as `peak`, for the schedule.
    """
    groups: list[dict[str, Any]] = []
    trained = [p for p in module.parameters() if p.requires_grad]
    for matrices, decay in ((True, weight_decay), (False, 0.0)):
        parameters = [p for p in trained if (p.ndim >= 2) == matrices]
        if parameters:
            groups.append({"params": parameters, "lr": peak, "peak": peak, "weight_decay": decay})
    return groups


@torch.no_grad()
def update_average(
    averages: list[Tensor], weights: list[Tensor], updates: Tensor | int, *, decay: float
) -> None:
    """Move averages towards weights; the first steps count less, because they are soon outdated."""
    decay = min(decay, (1 + int(updates)) / (10 + int(updates)))
    for average, weight in zip(averages, weights, strict=True):
        if average.is_floating_point():
            average.lerp_(weight, 1 - decay)
        else:
            average.copy_(weight)
