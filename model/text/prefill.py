"""Read texts through a language model, a few tokens at a time.

This bounds the memory that a long text takes, and lets other requests have a turn between chunks.
"""

from collections.abc import Generator, Iterator, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from model.arrays import to_numpy
from model.runtime.base import TextRunner, TextState

__all__ = ["Incremental", "iter_logprobs", "iter_states", "prefill", "run_to_end"]

Result = TypeVar("Result")

# Work that yields from time to time, so that others can have a turn, and returns a result.
Incremental = Generator[None, None, Result]

# Tokens that are read at once, about 20 ms on one core: as sequences, and step by step, as
# activations need it.
_CHUNK, _STEPS = 512, 64


def run_to_end(work: Incremental[Result]) -> Result:
    """Do incremental work in one go, and return its result."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            result: Result = end.value
            return result


def prefill(
    runner: TextRunner, tokens: Sequence[int]
) -> Iterator[tuple[NDArray[np.float32], TextState]]:
    """Read tokens from the beginning, and yield after each chunk.

    Yields:
        The log-probabilities of what comes after each token (time, vocabulary), and the state after
        the last, each (any, 1, any).
    """
    state = runner.initial_state()
    for chunk in _chunks(tokens, _CHUNK):
        logprobs, state = runner.read(chunk, state)
        yield logprobs, state


def iter_logprobs(runner: TextRunner, tokens: Sequence[int]) -> Iterator[NDArray[np.float32]]:
    """Score tokens from the beginning, and yield after each chunk.

    Yields:
        The log-probability of each token but the first given those before it (time,).
    """
    position = 1
    for logprobs, _ in prefill(runner, tokens[:-1]):
        targets = np.asarray(tokens[position : position + len(logprobs)])
        yield logprobs[np.arange(len(targets)), targets]
        position += len(logprobs)


def iter_states(
    runner: TextRunner, tokens: Sequence[int]
) -> Iterator[tuple[NDArray[np.float32], ...]]:
    """Read tokens from the beginning, and yield the state of every unit after each chunk.

    Args:
        runner: whose state is that of units.
        tokens: ids.

    Yields:
        h, and c if the cells have one, after each token, each (time, layers, hidden).
    """
    state = runner.initial_state()
    for chunk in _chunks(tokens, _STEPS):
        rows = []
        for i in range(len(chunk)):
            _, state = runner.step(chunk[i : i + 1], state)
            rows.append([to_numpy(part)[:, 0] for part in state])  # each (layers, hidden)
        yield tuple(np.stack(part) for part in zip(*rows, strict=True))


def _chunks(tokens: Sequence[int], length: int) -> Iterator[NDArray[np.int64]]:
    """Cut tokens into chunks, each (time,)."""
    for start in range(0, len(tokens), length):
        yield np.asarray(tokens[start : start + length], dtype=np.int64)
