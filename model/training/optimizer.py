"""Which parameters learn how fast, and the moving average of all of them.

Knows parameters and settings; knows nothing of data or losses.
"""

from typing import Any

import torch
from torch import Tensor, nn

from model.networks.caption_network import CaptionNetwork
from model.training.recipe import OptimisationConfig

__all__ = ["decaying_groups", "parameter_groups", "update_average"]


def parameter_groups(network: CaptionNetwork, settings: OptimisationConfig) -> list[dict[str, Any]]:
    """Group parameters: the encoder has its own peak; only matrices decay."""
    decay = settings.weight_decay
    return decaying_groups(network.decoder, settings.learning_rate, decay) + decaying_groups(
        network.encoder, settings.encoder_learning_rate, decay
    )


def decaying_groups(module: nn.Module, peak: float, weight_decay: float) -> list[dict[str, Any]]:
    """Group what a module trains: only matrices decay."""
    groups: list[dict[str, Any]] = []
    trained = [p for p in module.parameters() if p.requires_grad]
    for matrices, decay in ((True, weight_decay), (False, 0.0)):
        chosen = [p for p in trained if (p.ndim >= 2) == matrices]
        if chosen:
            groups.append({"params": chosen, "lr": peak, "peak": peak, "weight_decay": decay})
    return groups


@torch.no_grad()
def update_average(
    averages: list[Tensor], weights: list[Tensor], updates: Tensor | int, *, decay: float
) -> None:
    """Move averages towards weights; the first steps count less, since they are soon outdated."""
    decay = min(decay, (1 + int(updates)) / (10 + int(updates)))
    for average, weight in zip(averages, weights, strict=True):
        if average.is_floating_point():
            average.lerp_(weight, 1 - decay)
        else:
            average.copy_(weight)
