"""Train a vanilla RNN with and without clipping the gradient's norm.

A vanilla RNN is trained by plain stochastic gradient descent, as it was when clipping was found
(Pascanu, Mikolov and Bengio 2013, algorithm 1), from recurrent weights of a given spectral radius.
Clipping bounds every step, so that one exploding gradient does not throw the weights away; it does
nothing for a gradient that has vanished, since what it scales is the sum over all distances.

Without clipping the training is chaotic: the last digit of a number decides where it ends. So one
run says little, and a comparison needs several seeds.
"""

import math
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from model.data.corpus import streams
from model.networks.text_network import TextNetwork
from model.studies.flow import Floats, gradient_flow
from model.training.language_model.loss import TextLoss

__all__ = ["ClippedTraining", "train_clipped"]

_STREAMS, _STEPS = 32, 64
_LEARNING_RATE = 1.0
_LAST = 20  # steps whose losses are averaged


@dataclass(frozen=True)
class ClippedTraining:
    """A short training.

    Attributes:
        clip: the norm to which the gradient was clipped; None: not at all.
        norms: of the gradient of all parameters at every step, before it was clipped.
        losses: at every step, nats a token.
        diverged: whether it ended early, because the gradient was not finite.
        flow: ratio(k) afterwards, (steps + 1, rows).
    """

    clip: float | None
    norms: tuple[float, ...]
    losses: tuple[float, ...]
    diverged: bool
    flow: Floats

    @property
    def applied(self) -> tuple[float, ...]:
        """Return the norms after clipping."""
        return tuple(min(norm, self.clip or math.inf) for norm in self.norms)

    @property
    def last_loss(self) -> float:
        """Return the mean loss of the last steps."""
        return float(np.mean(self.losses[-_LAST:]))


def train_clipped(
    network: TextNetwork,
    train: Tensor,
    *,
    start_id: int,
    steps: int,
    clip: float | None,
    flow_tokens: Tensor,
    flow_steps: int,
) -> ClippedTraining:
    """Train a copy of a network for some steps, repeating the text as needed.

    Args:
        network: of vanilla RNNs; not changed.
        train: ids (tokens,).
        start_id: the start token.
        steps: how many.
        clip: the norm; None does not clip.
        flow_tokens: ids (rows, time), on which the gradient's flow is measured afterwards.
        flow_steps: how many steps back it is measured.
    """
    network = deepcopy(network).train()
    text = streams(train, _STREAMS, start_id)  # (streams, 1 + length)
    loss = TextLoss(network, start_id)
    parameters = list(network.parameters())
    norms: list[float] = []
    losses: list[float] = []
    position, state = 0, network.initial_state(len(text))
    for _ in range(steps):
        if position + 1 >= text.shape[1]:
            position, state = 0, network.initial_state(len(text))
        total, count, state = loss(text[:, position : position + _STEPS + 1], state)
        state = tuple(part.detach() for part in state)
        position += _STEPS
        gradients = torch.autograd.grad(total / count, parameters)
        norm = float(torch.stack([gradient.norm() for gradient in gradients]).norm())
        if not math.isfinite(norm):
            break
        scale = min(1.0, clip / norm) if clip and norm else 1.0
        with torch.no_grad():
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.sub_(gradient, alpha=_LEARNING_RATE * scale)
        norms.append(norm)
        losses.append(float(total.detach() / count))
    flow: Mapping[str, Floats] = gradient_flow(network, flow_tokens, flow_steps)
    return ClippedTraining(clip, tuple(norms), tuple(losses), len(norms) < steps, flow["state"])
