"""Read texts through a network, a few tokens at a time.

This bounds the memory that a long text takes, and lets other requests have a turn between chunks.
"""

from collections.abc import Generator, Iterator, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from model.networks.cells import CellState
from model.networks.text_network import TextNetwork, TokenNetwork

__all__ = ["Incremental", "iter_activations", "iter_logprobs", "prefill", "run_to_end"]

Result = TypeVar("Result")

# Work that yields from time to time, so that others can have a turn, and returns a result.
Incremental = Generator[None, None, Result]

# Tokens that go through the network at once, about 20 ms on one core: with fused kernels, and step
# by step, as activations need it.
_CHUNK, _STEPS = 512, 64


def run_to_end(work: Incremental[Result]) -> Result:
    """Do incremental work in one go, and return its result."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            result: Result = end.value
            return result


def prefill(network: TokenNetwork, tokens: Sequence[int]) -> Iterator[tuple[Tensor, CellState]]:
    """Read tokens from the beginning, and yield after each chunk.

    Yields:
        The logits of what comes after each token (time, vocabulary), and the state after the last,
        each (layers, 1, hidden).
    """
    state = network.initial_state(1)
    for chunk in _chunks(tokens, _CHUNK, state):
        logits, state = network(chunk, state)
        yield logits[0], state


def iter_logprobs(network: TokenNetwork, tokens: Sequence[int]) -> Iterator[Tensor]:
    """Score tokens from the beginning, and yield after each chunk.

    Yields:
        The log-probability of each token but the first given those before it (time,), on the CPU.
    """
    position = 1
    for logits, _ in prefill(network, tokens[:-1]):
        targets = torch.tensor(tokens[position : position + len(logits)], device=logits.device)
        logprobs = logits.float().log_softmax(-1)  # (time, vocabulary)
        yield logprobs.gather(1, targets[:, None])[:, 0].cpu()
        position += len(logits)


def iter_activations(network: TextNetwork, tokens: Sequence[int]) -> Iterator[Tensor]:
    """Read tokens from the beginning, and yield the activations of every unit after each chunk.

    Yields:
        What each unit does after each token (time, layers * hidden), -1 to 1, on
        the CPU: tanh(c) of an LSTM (Karpathy, Johnson, Fei-Fei 2015), h of the other cells.
    """
    recurrent, state = network.recurrent, network.initial_state(1)
    for chunk in _chunks(tokens, _STEPS, state):
        states, state = recurrent.states(network.read(chunk), state)
        values = torch.tanh(states[1]) if recurrent.num_states > 1 else states[0]
        yield values[0].flatten(1).cpu()


def _chunks(tokens: Sequence[int], length: int, state: CellState) -> Iterator[Tensor]:
    """Cut tokens into chunks, each (1, time), where the state is."""
    for start in range(0, len(tokens), length):
        yield torch.tensor([tokens[start : start + length]], device=state[0].device)
