"""Dense networks with any of seven activation functions and four ways to draw initial weights."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

__all__ = [
    "ACTIVATIONS",
    "ACTIVATION_COLOURS",
    "INITIALISATIONS",
    "Maxout",
    "activation",
    "dense",
    "linear",
    "parameter_count",
    "seeded",
    "suitable",
]


class Maxout(nn.Module):
    """The largest of two linear pieces (Goodfellow et al. 2013): (..., 2 * units) -> (..., units).

    It has no shape of its own: the layer before learns both pieces, and so has twice the weights.
    """

    def forward(self, pieces: Tensor) -> Tensor:
        """Take the larger piece of each unit."""
        return torch.maximum(*pieces.chunk(2, dim=-1))


# PReLU's slope is learned, from PyTorch's 0.25; leaky ReLU's is 0.01, ELU's alpha 1.
_MAKERS: dict[str, Callable[[], nn.Module]] = {
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "ReLU": nn.ReLU,
    "leaky ReLU": nn.LeakyReLU,
    "PReLU": nn.PReLU,
    "ELU": nn.ELU,
    "maxout": Maxout,
}
ACTIVATIONS = tuple(_MAKERS)
_PALETTE = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
ACTIVATION_COLOURS = dict(zip(ACTIVATIONS, _PALETTE, strict=True))

# The standard deviation of a weight, by the number of inputs.
INITIALISATIONS: dict[str, Callable[[int], float]] = {
    "small (0.01)": lambda inputs: 0.01,
    "large (1)": lambda inputs: 1.0,
    "Xavier": lambda inputs: math.sqrt(1 / inputs),
    "He": lambda inputs: math.sqrt(2 / inputs),
}


def activation(name: str) -> nn.Module:
    """Build an activation function by its name in `ACTIVATIONS`."""
    return _MAKERS[name]()


def suitable(name: str) -> str:
    """Return the initialisation for an activation: Xavier for those that saturate, and maxout."""
    return "Xavier" if name in ("sigmoid", "tanh", "maxout") else "He"


def linear(inputs: int, outputs: int, deviation: float) -> nn.Linear:
    """Build a linear layer of normally distributed weights, its bias zero."""
    layer = nn.Linear(inputs, outputs)
    nn.init.normal_(layer.weight, std=deviation)
    nn.init.zeros_(layer.bias)
    return layer


def dense(
    sizes: Sequence[int],
    name: str,
    initialisation: str,
    *,
    between: Callable[[int], Sequence[nn.Module]] | None = None,
) -> nn.Sequential:
    """Build a network of linear layers, with an activation after each but the last.

    Args:
        sizes: of the input, of each hidden layer and of the output.
        name: of `ACTIVATIONS`.
        initialisation: of `INITIALISATIONS`.
        between: what stands after a linear layer of so many outputs, in place of the activation.
    """
    deviation = INITIALISATIONS[initialisation]
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes[:-1]):
        width = 2 * outputs if name == "maxout" else outputs
        layers.append(linear(inputs, width, deviation(inputs)))
        layers += between(outputs) if between else [activation(name)]
    layers.append(linear(sizes[-2], sizes[-1], deviation(sizes[-2])))
    return nn.Sequential(*layers)


def parameter_count(network: nn.Module) -> int:
    """Count the numbers that a network learns."""
    return sum(parameter.numel() for parameter in network.parameters())


def seeded(seed: int, build: Callable[[], nn.Sequential]) -> nn.Sequential:
    """Build a network from a seed, without touching the global random state."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()
