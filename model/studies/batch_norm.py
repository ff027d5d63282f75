"""Batch normalization, from its equations (Ioffe and Szegedy 2015, algorithm 1).

Of each feature x_1 ... x_m of the m examples of a batch:

    mean = sum(x_i) / m
    var  = sum((x_i - mean)^2) / m
    n_i  = (x_i - mean) / sqrt(var + epsilon)
    y_i  = gamma * n_i + beta

In test mode, mean and var are fixed: running averages from the training, or the mean over one pass.
"""

import torch
from torch import Tensor, nn

__all__ = ["EPSILON", "BatchNorm", "batch_norm", "batch_norm_gradients", "measure_in_one_pass"]

EPSILON = 1e-5


def batch_norm(
    x: Tensor, gamma: Tensor, beta: Tensor, *, mean: Tensor | None = None, var: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Normalise each feature of a batch.

    Args:
        x: (examples, features)
        gamma, beta: (features,)
        mean, var: (features,), fixed; None takes those of the batch.

    Returns:
        y (examples, features), and the mean and variance that were used.
    """
    if mean is None or var is None:
        mean = x.mean(dim=0)
        var = (x - mean).square().mean(dim=0)
    normalised = (x - mean) / torch.sqrt(var + EPSILON)
    return gamma * normalised + beta, mean, var


def batch_norm_gradients(
    x: Tensor, gamma: Tensor, from_above: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the loss's gradients with respect to x, gamma and beta, by the chain rule.

    Args:
        x, gamma: as in `batch_norm`.
        from_above: the gradient with respect to y (examples, features).
    """
    examples = len(x)
    centred = x - x.mean(dim=0)
    deviation = torch.sqrt(centred.square().mean(dim=0) + EPSILON)
    normalised = centred / deviation
    by_normalised = from_above * gamma
    by_var = (by_normalised * centred).sum(dim=0) * -0.5 / deviation**3
    by_mean = -(by_normalised / deviation).sum(dim=0) - 2 * by_var * centred.mean(dim=0)
    by_x = by_normalised / deviation + by_var * 2 * centred / examples + by_mean / examples
    return by_x, (from_above * normalised).sum(dim=0), from_above.sum(dim=0)


class BatchNorm(nn.Module):
    """A layer of it: (examples, features) in and out.

    As in PyTorch, the running variance is the unbiased one, that of m - 1.

    Args:
        features: how many.
        momentum: the weight of each new batch in the running averages; None: every batch since
            the last `reset` has the same weight.
    """

    mean: Tensor
    var: Tensor

    def __init__(self, features: int, momentum: float | None = 0.1) -> None:
        super().__init__()
        self.momentum = momentum
        self.gamma = nn.Parameter(torch.ones(features))
        self.beta = nn.Parameter(torch.zeros(features))
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("var", torch.ones(features))
        self.batches = 0

    def reset(self) -> None:
        """Forget the running averages."""
        self.mean.zero_()
        self.var.fill_(1)
        self.batches = 0

    def forward(self, x: Tensor) -> Tensor:
        """Normalise a batch by itself in training, by the running averages otherwise.

        Raises:
            ValueError: in training, a batch of one example, which has no variance.
        """
        if not self.training:
            return batch_norm(x, self.gamma, self.beta, mean=self.mean, var=self.var)[0]
        examples = len(x)
        if examples < 2:
            raise ValueError("a batch of one example has no variance: give at least two")
        y, mean, var = batch_norm(x, self.gamma, self.beta)
        self.batches += 1
        weight = 1 / self.batches if self.momentum is None else self.momentum
        with torch.no_grad():
            self.mean.lerp_(mean, weight)
            self.var.lerp_(var * examples / (examples - 1), weight)
        return y


def measure_in_one_pass(network: nn.Module, inputs: Tensor, *, batch: int = 50) -> None:
    """Replace running averages by the mean over one pass of the data, without training."""
    layers = [layer for layer in network.modules() if isinstance(layer, BatchNorm)]
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset()
        layer.momentum = None
    network.train()
    with torch.no_grad():
        for part in torch.split(inputs, batch):
            network(part)
    network.eval()
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
