"""Reading texts through a network, a few tokens at a time.

A text of any length takes little memory so, and whoever serves others too may do so between two
of its parts. Knows networks and ids; knows nothing of characters or words.
"""

from collections.abc import Generator, Iterator, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from model.networks.cells import CellState
from model.networks.text_network import TextNetwork, TokenNetwork

__all__ = ["Incremental", "complete", "iter_activations", "iter_logprobs", "read"]

Result = TypeVar("Result")

Incremental = Generator[None, None, Result]  # work that yields whenever others may have a turn

# Tokens that go through the network at once, some 20 ms on one core: with fused kernels, and step
# by step, which is how units are seen.
_CHUNK, _STEPS = 512, 64


def complete(work: Incremental[Result]) -> Result:
    """Do work to its end, all in one turn."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            result: Result = end.value
            return result


def read(network: TokenNetwork, tokens: Sequence[int]) -> Iterator[tuple[Tensor, CellState]]:
    """Read tokens from the beginning on.

    Yields:
        For each chunk, the logits of what comes after each token (time, vocabulary), and the
        state after the last, each (layers, 1, hidden).
    """
    state = network.initial_state(1)
    for chunk in _chunks(tokens, _CHUNK, state):
        logits, state = network(chunk, state)
        yield logits[0], state


def iter_logprobs(network: TokenNetwork, tokens: Sequence[int]) -> Iterator[Tensor]:
    """Read tokens from the beginning on.

    Yields:
        For each chunk, the log-probability of each token but the first given those before it
        (time,), on the CPU.
    """
    position = 1
    for logits, _ in read(network, tokens[:-1]):
        own = torch.tensor(tokens[position : position + len(logits)], device=logits.device)
        logprobs = logits.float().log_softmax(-1)  # (time, vocabulary)
        yield logprobs.gather(1, own[:, None])[:, 0].cpu()
        position += len(logits)


def iter_activations(network: TextNetwork, tokens: Sequence[int]) -> Iterator[Tensor]:
    """Read tokens from the beginning on, and look at every unit.

    Yields:
        For each chunk, what each unit does after each token (time, layers * hidden), -1 to 1, on
        the CPU: tanh(c) of an LSTM (Karpathy, Johnson, Fei-Fei 2015), h of the other cells.
    """
    recurrent, state = network.recurrent, network.initial_state(1)
    for chunk in _chunks(tokens, _STEPS, state):
        states, state = recurrent.states(network.read(chunk), state)
        values = torch.tanh(states[1]) if recurrent.parts > 1 else states[0]
        yield values[0].flatten(1).cpu()


def _chunks(tokens: Sequence[int], length: int, state: CellState) -> Iterator[Tensor]:
    """Cut tokens into chunks, each (1, time), where the state is."""
    for start in range(0, len(tokens), length):
        yield torch.tensor([tokens[start : start + length]], device=state[0].device)
