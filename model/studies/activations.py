"""Measure what activation functions do to values and gradients.

The questions of the lecture: what are a function and its gradient at -10, 0 and 10; what becomes of
activations and gradients in a deep network; why do inputs that are all positive make gradient
descent zigzag; and when do units die?
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from model.studies.dense import INITIALISATIONS, Maxout, activation, dense, seeded
from model.studies.digits import CLASSES, PIXELS, Digits

__all__ = [
    "Depth",
    "Descent",
    "dead_share",
    "descend",
    "one_sign_share",
    "saturation_by_depth",
    "values_and_gradients",
]

# A unit is saturated where its gradient is below this share of the largest that it can have.
_SATURATED = 0.005
_LARGEST = {"sigmoid": 0.25}  # of the gradient; otherwise 1


def values_and_gradients(name: str, at: Sequence[float]) -> tuple[list[float], list[float]]:
    """Return a function's values and gradients, by autograd in double precision.

    Maxout, which has no shape of its own, is shown with the pieces x and -x.
    """
    x = torch.tensor(at, dtype=torch.double, requires_grad=True)
    function = activation(name).double()
    y = function(torch.stack([x, -x], dim=-1))[..., 0] if name == "maxout" else function(x)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    return y.tolist(), gradient.tolist()


@dataclass(frozen=True)
class Depth:
    """A deep network before training, layer by layer.

    Attributes:
        deviations: the standard deviation of the activations, from layer 1 on.
        gradients: the norm of the gradient of a layer's activations, over that of the last one's.
        saturated: the share of the last layer's activations that are saturated.
    """

    deviations: tuple[float, ...]
    gradients: tuple[float, ...]
    saturated: float


def saturation_by_depth(
    name: str,
    initialisation: str,
    *,
    seed: int,
    layers: int = 10,
    units: int = 100,
    rows: int = 300,
) -> Depth:
    """Send standard normal inputs through a deep network, and a random gradient back.

    Args:
        name: of the activation.
        initialisation: of the weights, see `INITIALISATIONS`.
        seed: of weights, inputs and gradient.
        layers, units, rows: of the network, and how many inputs.
    """
    chance = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=chance, dtype=torch.double)

    function = activation(name).double()
    width = 2 * units if name == "maxout" else units
    deviation = INITIALISATIONS[initialisation](units)
    outputs = normal(rows, units).requires_grad_()
    activations: list[Tensor] = []
    for _ in range(layers):
        before = outputs @ (normal(units, width) * deviation)
        outputs = function(before)
        activations.append(outputs)
    last_slope = torch.autograd.grad(outputs.sum(), before, retain_graph=True)[0]
    if isinstance(function, Maxout):
        last_slope = sum(last_slope.chunk(2, dim=-1), torch.zeros(()))
    gradients = torch.autograd.grad((outputs * normal(rows, units)).sum(), activations)
    norms = [float(gradient.norm()) for gradient in gradients]
    return Depth(
        tuple(float(one.detach().std()) for one in activations),
        tuple(norm / norms[-1] for norm in norms),
        float((last_slope.abs() < _SATURATED * _LARGEST.get(name, 1.0)).double().mean()),
    )


@dataclass(frozen=True)
class Descent:
    """Gradient descent of a linear neuron w . x on one example at a time.

    Attributes:
        path: w after each step, from (0, 0): (steps + 1, 2).
        one_sign: the share of steps in which both weights move up, or both down.
        steps: until w stays within 5% of the distance from the best w; None: it does not.
        detour: the length of the path up to there over the straight way; None: it does not.
    """

    path: tuple[tuple[float, float], ...]
    one_sign: float
    steps: int | None
    detour: float | None


def descend(*, centred: bool, seed: int, steps: int = 400, rate: float = 0.7) -> Descent:
    """Learn w = (1, -1) from inputs between 0 and 1, or the same inputs less their mean.

    Args:
        centred: whether 1/2 is subtracted from every input.
        seed: of the inputs.
        steps: how many examples are seen.
        rate: the learning rate, of half the squared error.
    """
    chance = torch.Generator().manual_seed(seed)
    inputs = torch.rand(steps, 2, generator=chance, dtype=torch.double) - (0.5 if centred else 0)
    best = torch.tensor([1.0, -1.0], dtype=torch.double)
    w = torch.zeros(2, dtype=torch.double)
    path = [w]
    for x in inputs:
        w = w - rate * torch.dot(w - best, x) * x
        path.append(w)
    walked = torch.stack(path)
    moves = walked.diff(dim=0)
    far = ((walked - best).norm(dim=1) > 0.05 * best.norm()).nonzero()[-1]
    arrived = int(far) + 1
    there = arrived <= steps
    moving = moves[: arrived if there else steps]
    return Descent(
        tuple((float(x), float(y)) for x, y in walked),
        float((moving.prod(dim=1) > 0).double().mean()),
        arrived if there else None,
        float(moving.norm(dim=1).sum() / best.norm()) if there else None,
    )


def one_sign_share(name: str, data: Digits, *, batch: int, seed: int) -> float:
    """Return for how many neurons the gradients of all weights have one sign.

    The neurons are the outputs of a network with one hidden layer, whose activations they read;
    each gradient is the mean over a batch of digits. A weight without a gradient has no sign.
    """
    units = 50
    network = seeded(seed, lambda: dense([PIXELS, units, CLASSES], name, "Xavier"))
    chance = torch.Generator().manual_seed(seed)
    weight = next(network[-1].parameters())
    shares = []
    order = torch.randperm(len(data.train), generator=chance)[: 20 * batch]
    for chosen in torch.split(order, batch):
        scores = network(data.train[chosen])
        loss = nn.functional.cross_entropy(scores, data.train_labels[chosen])
        (gradient,) = torch.autograd.grad(loss, weight)  # (classes, units)
        one = (gradient >= 0).all(dim=1) | (gradient <= 0).all(dim=1)
        shares.append(float(one.double().mean()))
    return sum(shares) / len(shares)


def dead_share(network: nn.Sequential, inputs: Tensor) -> float:
    """Return the share of hidden units whose activation has no gradient for any of the inputs."""
    dead: list[Tensor] = []
    outputs = inputs
    for layer in network:
        before = outputs.detach().requires_grad_()
        outputs = layer(before)
        if not isinstance(layer, nn.Linear):
            (slopes,) = torch.autograd.grad(outputs.sum(), before)
            dead.append((slopes == 0).all(dim=0))
    return float(torch.cat(dead).double().mean())
