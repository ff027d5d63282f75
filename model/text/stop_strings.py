"""End a text at a stop string, while it is being generated."""

from collections.abc import Sequence
from dataclasses import replace

from model.text.deltas import TextDelta

__all__ = ["StopStrings"]


class StopStrings:
    """A filter that holds back deltas while they may begin a stop string.

    Where the text stops does not depend on how it is cut into deltas.

    Args:
        stops: the text ends before the first of these that is complete.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = [stop for stop in stops if stop]
        self._held: list[TextDelta] = []

    def add(self, delta: TextDelta) -> tuple[list[TextDelta], bool]:
        """Take a delta; return those that are certain by now, and whether the text has ended."""
        if not self._stops:
            return [delta], False
        self._held.append(delta)
        text = "".join(held.text for held in self._held)
        found = [
            (place + len(stop), place) for stop in self._stops if (place := text.find(stop)) >= 0
        ]
        if found:
            _, place = min(found)
            return self._release(place, cut=True), True
        return self._release(len(text) - self._ambiguous(text), cut=False), False

    def flush(self) -> list[TextDelta]:
        """Return all deltas that are still held back: no more will come."""
        held, self._held = self._held, []
        return held

    def _ambiguous(self, text: str) -> int:
        """Count the characters at the end of a text that may begin a stop string."""
        longest = max(map(len, self._stops), default=1) - 1
        for length in range(min(longest, len(text)), 0, -1):
            if any(stop.startswith(text[-length:]) for stop in self._stops):
                return length
        return 0

    def _release(self, characters: int, *, cut: bool) -> list[TextDelta]:
        """Release the deltas up to a position; one that reaches beyond it is cut, or stays."""
        released = []
        while self._held and characters >= 0:
            delta = self._held[0]
            if len(delta.text) > characters and not (cut and characters):
                break
            released.append(replace(delta, text=delta.text[:characters]))
            characters -= len(delta.text)
            self._held.pop(0)
        return released
