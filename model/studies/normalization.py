"""Measure batch normalization: against PyTorch's, in both modes, and what it forgives."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Literal

import torch
from torch import Tensor, nn

from model.studies.batch_norm import (
    EPSILON,
    BatchNorm,
    batch_norm,
    batch_norm_gradients,
    measure_in_one_pass,
)
from model.studies.dense import activation, dense, seeded
from model.studies.digits import CLASSES, PIXELS, Digits, accuracy

__all__ = [
    "Place",
    "accuracy_in_batches",
    "averages_against_one_pass",
    "differences_from_pytorch",
    "identity_error",
    "network_with",
]

Place = Literal["none", "before", "after"]  # of the nonlinearity

_SIZES = (PIXELS, 50, 50, 50, 50, 50, CLASSES)


def differences_from_pytorch(
    seed: int, dtype: torch.dtype, *, examples: int = 50, features: int = 30
) -> Mapping[str, float]:
    """Return the largest differences from `torch.nn.BatchNorm1d`, over five batches.

    Each is a share of the largest value that is compared.
    The gradients by the chain rule and by autograd through the equations are both compared.
    """
    chance = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=chance, dtype=dtype)

    theirs, ours = nn.BatchNorm1d(features).to(dtype), BatchNorm(features).to(dtype)
    with torch.no_grad():
        theirs.weight.copy_(ours.gamma.copy_(1 + normal(features) / 2))
        theirs.bias.copy_(ours.beta.copy_(normal(features)))
    found: dict[str, float] = {}

    def compare(what: str, one: Tensor, other: Tensor) -> None:
        difference = (one - other).detach().abs().max() / other.detach().abs().max()
        found[what] = max(found.get(what, 0.0), float(difference))

    for _ in range(5):
        x = (2 + 3 * normal(examples, features)).requires_grad_()
        from_above = normal(examples, features)
        expected, y = theirs(x), ours(x)
        compare("forward", y, expected)
        wanted = torch.autograd.grad(expected, [x, theirs.weight, theirs.bias], from_above)
        through = torch.autograd.grad(y, [x, ours.gamma, ours.beta], from_above)
        written = batch_norm_gradients(x, ours.gamma, from_above)
        for one, two, three in zip(wanted, through, written, strict=True):
            compare("backward", one, two)
            compare("backward", one, three)
    compare("running averages", ours.mean, theirs.get_buffer("running_mean"))
    compare("running averages", ours.var, theirs.get_buffer("running_var"))
    compare("test mode", ours.eval()(x), theirs.eval()(x))
    return found


def identity_error(seed: int, *, examples: int = 50, features: int = 30) -> float:
    """Return the largest |y - x| where gamma = sqrt(var + epsilon) and beta = mean."""
    chance = torch.Generator().manual_seed(seed)
    x = 2 + 3 * torch.randn(examples, features, generator=chance, dtype=torch.double)
    mean, var = x.mean(dim=0), x.var(dim=0, correction=0)
    y, _, _ = batch_norm(x, torch.sqrt(var + EPSILON), mean)
    return float((y - x).abs().max())


def network_with(
    place: Place, name: str, initialisation: str, *, seed: int, momentum: float = 0.1
) -> nn.Sequential:
    """Build a network of five hidden layers for the digits.

    Args:
        place: of batch normalization, if any.
        name, initialisation: see `dense`.
        seed: of its weights.
        momentum: see `BatchNorm`.
    """

    def between(outputs: int) -> Sequence[nn.Module]:
        if place == "none":
            return [activation(name)]
        layers = [BatchNorm(outputs, momentum), activation(name)]
        return layers if place == "before" else layers[::-1]

    return seeded(seed, lambda: dense(_SIZES, name, initialisation, between=between))


def accuracy_in_batches(
    network: nn.Module, data: Digits, batch: int, *, seed: int
) -> tuple[float, float]:
    """Classify the test part in training mode, where each batch is normalised by itself.

    Returns:
        The share that is right, and the share of pictures that are classified otherwise in
        another order, among other neighbours.
    """
    trained = deepcopy(network).train()
    chance = torch.Generator().manual_seed(seed)
    answers = []
    for _ in range(2):
        order = torch.randperm(len(data.test), generator=chance)
        found = torch.empty_like(data.test_labels)
        with torch.no_grad():
            for chosen in torch.split(order, batch):
                found[chosen] = trained(data.test[chosen]).argmax(-1)
        answers.append(found)
    right = float((answers[0] == data.test_labels).double().mean())
    return right, float((answers[0] != answers[1]).double().mean())


def averages_against_one_pass(network: nn.Module, data: Digits) -> Mapping[str, float]:
    """Compare running averages with the mean over one pass of the training part.

    Returns:
        `running`, `one_pass`: the share of the test part classified rightly with each.
        `distance`: how far the means are apart, in standard deviations, on average.
    """
    other = deepcopy(network)
    measure_in_one_pass(other, data.train)
    pairs = [
        (one, two)
        for one, two in zip(network.modules(), other.modules(), strict=True)
        if isinstance(one, BatchNorm) and isinstance(two, BatchNorm)
    ]
    distances = [(one.mean - two.mean).abs() / torch.sqrt(two.var + EPSILON) for one, two in pairs]
    return {
        "running": accuracy(network, data.test, data.test_labels),
        "one_pass": accuracy(other, data.test, data.test_labels),
        "distance": float(torch.cat(distances).mean()),
    }
