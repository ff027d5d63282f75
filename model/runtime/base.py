"""The interfaces that every runtime implements, for captioners and for language models.

Arrays are whatever the runtime works with; the search takes any that follow the array API standard.
"""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from model.arrays import Array
from model.decoding.hypothesis import RankedHypothesis
from model.networks.image_context import DecoderState, ImageContext

__all__ = ["CaptionDecoder", "Runner", "TextRunner", "TextState", "TextStep", "read_by_steps"]


WholeSearch = Callable[..., list[list[RankedHypothesis]]]

TextState = tuple[Array, ...]  # each (any, rows, any)


class CaptionDecoder(Protocol):
    """A decoder of captions, or a runner of one: reads a caption word by word."""

    def encode_context(self, grid: Array) -> ImageContext:
        """Compute what depends on the pictures alone, from (batch, rows, columns, channels)."""

    def step(
        self, tokens: Array, state: DecoderState, context: ImageContext
    ) -> tuple[Array, DecoderState, Array | None]:
        """Read one token per row and return the log-probabilities of the next.

        Args:
            tokens: (batch, beam)
            state: each (batch, beam, hidden)
            context: of the batch's pictures.

        Returns:
            log-probabilities, natural, float32 (batch, beam, vocabulary); the next state; the
            attention's weights (batch, beam, cells), or None without attention.
        """


class Runner(CaptionDecoder, Protocol):
    """A captioner's network in evaluation; for one thread at a time.

    Attributes:
        name: of the runtime, as in `model.runtime.options`.
        device: where it runs, as PyTorch names it.
        channels: features in a cell of the grid.
        exact: whether it computes in float32 on a CPU.
        search: searches for captions as a whole, from the grid, with the arguments of
            `beam_search.search`, and puts them into order; None: `beam_search.search` does the
            former, step by step.
        takes_bytes: whether `encode` takes the bytes of pictures rather than normalised numbers,
            see `model.preprocessing`.
        captured_sizes: of batches, which it captures when it sees them first; none if it does not.
        usual_words: log-odds of each word for any picture, see `model.runtime.usual_words`; None
            without a word detector.
    """

    name: str
    device: str
    channels: int
    exact: bool
    search: WholeSearch | None
    takes_bytes: bool
    captured_sizes: tuple[int, ...]
    usual_words: NDArray[np.float32] | None

    def encode(self, pixels: NDArray[Any]) -> Array:
        """Run the encoder: (batch, 3, size, size) -> (batch, rows, columns, channels).

        Where it `takes_bytes`, also of uint8 (batch, size, size, 3).
        """

    def place(self, values: Array) -> Array:
        """Convert any library's array to the runtime's own, on its device."""

    def synchronize(self) -> None:
        """Wait until the device has finished all work submitted to it."""

    def finish_captures(self) -> None:
        """Wait until every shape that was seen is captured, or cannot be."""


class TextRunner(Protocol):
    """A language model in evaluation; for one thread at a time.

    Attributes:
        device: where it runs, as PyTorch names it.
        has_units: whether its state is h, or h and c, of a network's units.
    """

    device: str
    has_units: bool

    def initial_state(self) -> TextState:
        """Return the state of one text before its first token, each (any, 1, any)."""

    def read(
        self, tokens: NDArray[np.int64], state: TextState
    ) -> tuple[NDArray[np.float32], TextState]:
        """Read one text, or the next part of it.

        Args:
            tokens: at least one (time,).
            state: each (any, 1, any)

        Returns:
            log-probabilities, natural, of what comes after each token (time, vocabulary); the last
            state.
        """

    def step(
        self, tokens: NDArray[np.int64], state: TextState
    ) -> tuple[NDArray[np.float32], TextState]:
        """Read one token per row and return the log-probabilities of the next.

        Args:
            tokens: (rows,)
            state: each (any, rows, any)

        Returns:
            log-probabilities, natural (rows, vocabulary); the next state.
        """

    def place(self, state: TextState) -> TextState:
        """Convert a state of any library's arrays to the runtime's own."""


TextStep = Callable[
    [NDArray[np.int64], TextState], tuple[NDArray[np.float32], TextState]
]  # see `TextRunner.step`


def read_by_steps(
    step: TextStep, tokens: NDArray[np.int64], state: TextState
) -> tuple[NDArray[np.float32], TextState]:
    """Read one text token by token, where nothing faster can; see `TextRunner.read`."""
    logprobs = []
    for i in range(len(tokens)):
        row, state = step(tokens[i : i + 1], state)
        logprobs.append(row)
    return np.concatenate(logprobs), state
