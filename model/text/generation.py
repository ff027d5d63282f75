"""One request to a language model: its prompt is read, then its texts are generated, bit by bit."""

import time
from collections.abc import Iterator, Sequence

from model.text.continuous_batch import ContinuousBatch
from model.text.deltas import DeltaBuffer, TextDelta
from model.text.prefill import Incremental
from model.text.sequence import GeneratedSequence

__all__ = ["Generation"]


class Generation:
    """Texts that continue one prompt.

    Args:
        prefill: reads the prompt, adds the texts to the batch, and returns them.
        batch: where they are generated.
        buffer: where their deltas go.
    """

    def __init__(
        self,
        prefill: Incremental[Sequence[GeneratedSequence]],
        batch: ContinuousBatch,
        buffer: DeltaBuffer,
    ) -> None:
        self._prefill = prefill
        self._batch = batch
        self._buffer = buffer
        self._sequences: Sequence[GeneratedSequence] | None = None  # until the prompt is read

    @property
    def finished(self) -> bool:
        """Whether everything is generated, though perhaps not taken."""
        return self._sequences is not None and all(one.finished for one in self._sequences)

    @property
    def has_deltas(self) -> bool:
        """Whether there are deltas that nobody has taken."""
        return bool(self._buffer.deltas)

    @property
    def seconds(self) -> float:
        """How long the model worked on it: on steps that others shared, its share."""
        return self._buffer.seconds

    def advance(self) -> None:
        """Read a part of the prompt, or generate the next token of everything in the batch."""
        if self._sequences is not None:
            self._batch.step()
            return
        began = time.perf_counter()
        try:
            next(self._prefill)
        except StopIteration as end:
            self._sequences = end.value
        self._buffer.seconds += time.perf_counter() - began

    def take(self) -> list[TextDelta]:
        """Return the deltas since the last call, those of one text in order."""
        deltas, self._buffer.deltas = self._buffer.deltas, []
        return deltas

    def close(self) -> None:
        """Stop generating; may be called from any thread."""
        self._buffer.cancelled = True

    def deltas(self) -> Iterator[TextDelta]:
        """Generate everything, and yield each delta as it comes; closing the iterator stops it."""
        try:
            while not (self.finished or self._buffer.cancelled):
                self.advance()
                yield from self.take()
        finally:
            self.close()
