"""One request to a language model: its prompt is read, then its texts are written, bit by bit.

Knows that others may be written in the same steps; knows nothing of networks.
"""

import time
from collections.abc import Sequence

from model.continuous_batch import ContinuousBatch, Desk
from model.draft import Draft
from model.reading import Turns
from model.stopping import Piece

__all__ = ["Writing"]

_READ = object()  # what comes after the last part of a prompt


class Writing:
    """Texts that go on from one prompt.

    Args:
        beginning: reads the prompt, and has the texts join the batch.
        batch: where they are written.
        desk: where their pieces are laid.
        drafts: the texts.
    """

    def __init__(
        self, beginning: Turns[None], batch: ContinuousBatch, desk: Desk, drafts: Sequence[Draft]
    ) -> None:
        self._beginning: Turns[None] | None = beginning
        self._batch = batch
        self._desk = desk
        self._drafts = drafts

    @property
    def ended(self) -> bool:
        """Whether all is written, though perhaps not taken."""
        return all(draft.ended for draft in self._drafts)

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
        if self._beginning is None:
            self._batch.step()
            return
        began = time.perf_counter()
        if next(self._beginning, _READ) is _READ:
            self._beginning = None
        self._desk.seconds += time.perf_counter() - began

    def take(self) -> list[Piece]:
        """Take the pieces that have been written since the last time, those of a text in order."""
        pieces, self._desk.pieces = self._desk.pieces, []
        return pieces

    def close(self) -> None:
        """Write no more; may be called from any thread."""
        self._desk.left = True
