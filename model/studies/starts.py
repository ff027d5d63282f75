"""How far back gradients reach from different initial weights, and along the LSTM's direct path."""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from model.networks.cells import LSTMCell, RNNCell
from model.networks.text_network import TextNetwork
from model.studies.flow import Floats, gradient_flow, spectral_radius, with_spectral_radius

__all__ = [
    "FORGET_BIASES",
    "Matrix",
    "direct_path",
    "flows_by_start",
    "matrices",
    "ordinary",
    "with_forget_bias",
]

FORGET_BIASES = (0.0, 1.0, 2.0)


@dataclass(frozen=True)
class Matrix:
    """A recurrent matrix of the vanilla RNN, and what becomes of a gradient.

    Attributes:
        kind: `orthogonal` or `ordinary`.
        radius: the largest absolute eigenvalue.
        largest, smallest: of the singular values.
        flow: ratio(k), (steps + 1, rows), see `gradient_flow`.
    """

    kind: str
    radius: float
    largest: float
    smallest: float
    flow: Floats


def ordinary(network: TextNetwork, *, seed: int) -> TextNetwork:
    """Copy a network, its recurrent matrices uniform within 1 / sqrt(units), PyTorch's default."""
    other = deepcopy(network)
    bound = other.config.hidden_size**-0.5
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        for name, parameter in other.recurrent.cells.named_parameters():
            if name.endswith("weight"):
                nn.init.uniform_(parameter, -bound, bound)
    return other


def flows_by_start(
    network: TextNetwork, tokens: Tensor, steps: int, *, seed: int
) -> Iterator[tuple[str, str, Floats]]:
    """Measure a new network with orthogonal and ordinary weights, an LSTM with each forget bias.

    Args:
        network: orthogonal, as new ones are; not changed.
        tokens, steps: see `gradient_flow`.
        seed: of the ordinary weights.

    Yields:
        How it was made, the part (`state`, and the `direct` path of an LSTM), and ratio(k).
    """
    gated = isinstance(network.recurrent.cells[-1], LSTMCell)
    for kind in ("orthogonal", "ordinary"):
        start = network if kind == "orthogonal" else ordinary(network, seed=seed)
        if not gated:
            yield kind, "state", gradient_flow(start, tokens, steps)["state"]
            continue
        for bias in FORGET_BIASES:
            made = with_forget_bias(start, bias)
            when = f"{kind}, forget bias {bias:g}"
            yield when, "state", gradient_flow(made, tokens, steps)["state"]
            yield when, "direct", direct_path(made, tokens, steps)


def with_forget_bias(network: TextNetwork, bias: float) -> TextNetwork:
    """Copy a network of LSTMs, and set the biases of their forget gates."""
    other = deepcopy(network)
    with torch.no_grad():
        for projection in other.recurrent.projections:
            for name, parameter in projection.named_parameters():
                if name == "bias":
                    parameter.chunk(4)[1].fill_(bias)
    return other


def direct_path(network: TextNetwork, tokens: Tensor, steps: int) -> Floats:
    """Measure the gradient along c alone, where only forget gates multiply it.

    That is, of the last layer, |dL_t / dh_t * o_t * (1 - tanh(c_t)^2) * f_t * ... * f_{t-k+1}|
    over |dL_t / dh_t|: the whole gradient less every path through the h of a step in between.

    Args:
        network: of LSTMs; not changed.
        tokens, steps: see `gradient_flow`.

    Returns:
        (steps + 1, rows); the first row is that of c_t itself.

    Raises:
        ValueError: the cells are not LSTMs.
    """
    network = deepcopy(network).double().eval()
    cell = network.recurrent.cells[-1]
    if not isinstance(cell, LSTMCell):
        raise ValueError(f"{network.config.cell} has no direct path: only an LSTM's c has")
    seen: list[Tensor] = []

    def record(_: nn.Module, given: tuple[Any, ...]) -> None:
        projected, (hidden, _) = given
        seen.append(torch.sigmoid(projected + cell.recurrent(hidden)))

    cell.register_forward_pre_hook(record)
    state = network.initial_state(len(tokens))
    with torch.no_grad():
        for token in tokens[:, :-1].unbind(1):
            _, state = network.recurrent.step(network.read(token), state)
    hidden, c = state[0][-1].requires_grad_(), state[1][-1]
    loss = nn.functional.cross_entropy(network.score(hidden), tokens[:, -1], reduction="sum")
    (by_hidden,) = torch.autograd.grad(loss, hidden)
    gates = [gate.chunk(4, dim=-1) for gate in seen]  # i, f, g (not used: it is a tanh), o
    along = by_hidden * gates[-1][3] * (1 - torch.tanh(c).square())
    norms = [along.norm(dim=-1)]
    for _, forget, _, _ in gates[: -steps - 1 : -1]:
        along = along * forget
        norms.append(along.norm(dim=-1))
    last = by_hidden.norm(dim=-1).clamp(min=torch.finfo(torch.float64).tiny)
    measured: Floats = (torch.stack(norms) / last).numpy()
    return measured


def matrices(
    network: TextNetwork, radii: tuple[float, ...], tokens: Tensor, steps: int, *, seed: int
) -> Iterator[Matrix]:
    """Scale the recurrent matrix of a vanilla RNN, orthogonal and ordinary, to spectral radii."""
    for kind in ("orthogonal", "ordinary"):
        start = network if kind == "orthogonal" else ordinary(network, seed=seed)
        for radius in radii:
            scaled = with_spectral_radius(start, radius)
            cell = scaled.recurrent.cells[0]
            assert isinstance(cell, RNNCell)  # noqa: S101 - with_spectral_radius has checked
            weight = cell.recurrent.weight.detach().double()
            singular = torch.linalg.svdvals(weight)
            yield Matrix(
                kind,
                spectral_radius(weight),
                float(singular.max()),
                float(singular.min()),
                gradient_flow(scaled, tokens, steps)["state"],
            )
