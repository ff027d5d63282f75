"""Measure how a loss depends on a network's state k steps earlier.

With s_t the whole state after step t (the h of every layer, and c where the cell has one) and
L_t the loss of predicting the token after step t,

    ratio(k) = |dL_t / ds_{t-k}| / |dL_t / dh_t|

where s_{t-k} is the only path from what was read up to t - k to the loss. In a recurrent network
the gradient is a product of k Jacobians, which vanishes or explodes exponentially with k unless
they keep its length (Hochreiter 1991; Bengio, Simard and Frasconi, "Learning long-term
dependencies with gradient descent is difficult", 1994; Pascanu, Mikolov and Bengio, "On the
difficulty of training recurrent neural networks", 2013). The LSTM's answer is a path through c
with only the forget gates on it (Hochreiter and Schmidhuber 1997; Gers 2000), so h and c are also
measured separately: the same norms, of those parts of dL_t / ds_{t-k} alone.
"""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from model.networks.cells import Cell, RNNCell
from model.networks.text_network import TextNetwork

__all__ = ["Floats", "gradient_flow", "spectral_radius", "stretches", "with_spectral_radius"]

Floats = NDArray[np.floating[Any]]


def gradient_flow(network: TextNetwork, tokens: Tensor, steps: int) -> Mapping[str, Floats]:
    """Measure the gradient of the last token's loss with respect to earlier states.

    In double precision, which still distinguishes a gradient of 1e-300 from zero.

    Args:
        network: not changed.
        tokens: ids (rows, time); each row is a separate text. The tokens before the last
            `steps` + 1 only warm up the state, as in the middle of a text.
        steps: how far back.

    Returns:
        `state`, and where the cell has a c also `h` and `c`: ratio(k), each (steps + 1, rows).

    Raises:
        ValueError: the texts are too short.
    """
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")
    if tokens.shape[1] < steps + 2:
        raise ValueError(f"{steps} steps need {steps + 2} tokens, there are {tokens.shape[1]}")
    network = deepcopy(network).double().eval()
    before, read, last = tokens.tensor_split([tokens.shape[1] - steps - 1, -1], dim=1)
    with torch.no_grad():
        _, state = network(before, network.initial_state(len(tokens)))
    states = [tuple(part.requires_grad_() for part in state)]
    for token in read.unbind(1):
        _, state = network.recurrent.step(network.read(token), states[-1])
        states.append(state)
    logits = network.score(states[-1][0][-1])  # of the last layer's h: (rows, vocabulary)
    # Rows are independent, so each row's gradient of the sum is that of its own loss.
    loss = nn.functional.cross_entropy(logits, last[:, 0], reduction="sum")
    leaves = [part for state in reversed(states) for part in state]
    gradients = torch.autograd.grad(loss, leaves, materialize_grads=True)
    stacked = torch.stack(gradients).view(steps + 1, len(state), *state[0].shape)
    squares = stacked.square().sum(dim=(2, 4))  # (steps + 1, parts, rows)
    # A loss that does not depend on h has no gradient further back either: ratios of zero.
    last_norm = squares[0, 0].sqrt().clamp(min=torch.finfo(torch.float64).tiny)
    norms = {"state": squares.sum(1).sqrt() / last_norm}
    if network.recurrent.num_states > 1:
        norms |= {"h": squares[:, 0].sqrt() / last_norm, "c": squares[:, 1].sqrt() / last_norm}
    return {part: norm.cpu().numpy() for part, norm in norms.items()}


def stretches(tokens: Tensor, rows: int, length: int, *, seed: int) -> Tensor:
    """Cut random stretches out of a text: (rows, length).

    Raises:
        ValueError: the text is too short for one.
    """
    if len(tokens) < length:
        raise ValueError(f"the text has {len(tokens)} tokens, and {length} are needed in a row")
    chance = torch.Generator().manual_seed(seed)
    starts = torch.randint(len(tokens) - length + 1, (rows,), generator=chance)
    return tokens[starts[:, None] + torch.arange(length)]


def spectral_radius(matrix: Tensor) -> float:
    """Return the largest absolute value of a square matrix's eigenvalues."""
    return float(torch.linalg.eigvals(matrix.detach().double()).abs().max())


def with_spectral_radius(network: TextNetwork, radius: float) -> TextNetwork:
    """Copy a network of vanilla RNNs, and scale the recurrent weights of every layer.

    Raises:
        ValueError: it has other cells, or the radius is not positive.
    """
    if not 0 < radius < float("inf"):
        raise ValueError(f"a spectral radius must be positive and finite, got {radius}")
    scaled = deepcopy(network)
    for cell in cast("list[Cell]", list(scaled.recurrent.cells)):
        if not isinstance(cell, RNNCell):
            raise ValueError(
                f"{network.config.cell} has several recurrent matrices, a vanilla RNN one"
            )
        weight = cell.recurrent.weight
        with torch.no_grad():
            weight.mul_(radius / spectral_radius(weight))
    return scaled
