"""One request to a language model: its prompt is read, then its texts are written, bit by bit.

Knows that others may be written in the same steps; knows nothing of networks.
"""

import time
from collections.abc import Iterator, Sequence

from model.text.continuous_batch import ContinuousBatch, DeltaBuffer
from model.text.prefill import Incremental
from model.text.sequence import Draft
from model.text.stop_strings import TextDelta

__all__ = ["Generation"]


class Generation:
    """Texts that go on from one prompt.

    Args:
        beginning: reads the prompt, has the texts join the batch, and gives them.
        batch: where they are written.
        desk: where their pieces are laid.
    """

    def __init__(
        self, beginning: Incremental[Sequence[Draft]], batch: ContinuousBatch, desk: DeltaBuffer
    ) -> None:
        self._beginning = beginning
        self._batch = batch
        self._desk = desk
        self._drafts: Sequence[Draft] | None = None  # until the prompt is read

    @property
    def ended(self) -> bool:
        """Whether all is written, though perhaps not taken."""
        return self._drafts is not None and all(draft.ended for draft in self._drafts)

    @property
    def waits(self) -> bool:
        """Whether there are pieces that nobody has taken."""
        return bool(self._desk.pieces)

    @property
    def seconds(self) -> float:
        """How long the model worked on it: on steps that others shared, its share."""
        return self._desk.seconds

    def go_on(self) -> None:
        """Read a part of the prompt, or write the next token of all that is in the batch."""
        if self._drafts is not None:
            self._batch.step()
            return
        began = time.perf_counter()
        try:
            next(self._beginning)
        except StopIteration as end:
            self._drafts = end.value
        self._desk.seconds += time.perf_counter() - began

    def take(self) -> list[TextDelta]:
        """Take the pieces that have been written since the last time, those of a text in order."""
        pieces, self._desk.pieces = self._desk.pieces, []
        return pieces

    def close(self) -> None:
        """Write no more; may be called from any thread."""
        self._desk.left = True

    def deltas(self) -> Iterator[TextDelta]:
        """Write all, and give each piece as it comes; closed before, it writes no more."""
        try:
            while not self.ended:
                self.go_on()
                yield from self.take()
        finally:
            self.close()
