"""Ending a text where it comes to a stop text, while it is being written.

Knows pieces of text in their order; knows nothing of where they come from.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

__all__ = ["StopStrings", "TextDelta"]


@dataclass(frozen=True)
class TextDelta:
    """One token of a text that is being written.

    `index` says of which text, `text` what the token adds to it, `logprob` is the natural
    log-probability that the model gave the token, whatever the sampling made of it, and `top` the
    likeliest tokens with theirs, if asked for. The last piece of a text says why it ended: `stop`
    (at a stop text, or by the end token) or `length`; it may add nothing, and have no token.
    """

    index: int
    text: str
    token: str | None = None
    logprob: float | None = None
    top: tuple[tuple[str, float], ...] | None = None
    finish_reason: str | None = None


class StopStrings:
    """Holds back pieces while they may turn out to be the beginning of a stop text.

    Where it stops does not depend on how the text is cut into pieces.

    Args:
        stops: texts at the first of which to be complete the text ends, itself left out.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = [stop for stop in stops if stop]
        self._held: list[TextDelta] = []

    def add(self, piece: TextDelta) -> tuple[list[TextDelta], bool]:
        """Take a piece; give those that are certain by now, and whether the text has ended."""
        if not self._stops:
            return [piece], False
        self._held.append(piece)
        text = "".join(held.text for held in self._held)
        found = [
            (place + len(stop), place) for stop in self._stops if (place := text.find(stop)) >= 0
        ]
        if found:
            _, place = min(found)
            return self._release(place, cut=True), True
        return self._release(len(text) - self._doubtful(text), cut=False), False

    def flush(self) -> list[TextDelta]:
        """Give all that is still held: nothing comes any more."""
        held, self._held = self._held, []
        return held

    def _doubtful(self, text: str) -> int:
        """Count the characters at the end of a text that begin a stop text."""
        longest = max(map(len, self._stops), default=1) - 1
        for length in range(min(longest, len(text)), 0, -1):
            if any(stop.startswith(text[-length:]) for stop in self._stops):
                return length
        return 0

    def _release(self, characters: int, *, cut: bool) -> list[TextDelta]:
        """Let go of the pieces up to a place; one that reaches beyond it is cut, or stays."""
        released = []
        while self._held and characters >= 0:
            piece = self._held[0]
            if len(piece.text) > characters and not (cut and characters):
                break
            released.append(replace(piece, text=piece.text[:characters]))
            characters -= len(piece.text)
            self._held.pop(0)
        return released
