"""Pieces of texts, as a model writes them, put together as a client or a terminal gets them.

Knows what a piece is; does not know who asked for the texts.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from model.text.stop_strings import TextDelta

__all__ = ["TextAssembler", "TextPart", "draw_seed", "summarise"]


@dataclass
class TextPart:
    """What came of one text: the whole of it, or a slice.

    `offsets` says at which character of the text each token begins.
    """

    index: int
    text: str = ""
    tokens: list[str] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    top: list[dict[str, float]] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    finish_reason: Literal["stop", "length"] | None = None


class TextAssembler:
    """Puts pieces together, in as many calls as they come in.

    Args:
        prefix: what every text begins with, before its first piece.
    """

    def __init__(self, prefix: str = "") -> None:
        self._prefix = prefix
        self._lengths: dict[int, int] = {}

    def join(self, pieces: Iterable[TextDelta]) -> list[TextPart]:
        """Give what these pieces add to each text that they belong to, by its index."""
        parts: dict[int, TextPart] = {}
        for piece in pieces:
            part = parts.setdefault(piece.index, TextPart(piece.index))
            if piece.index not in self._lengths:
                part.text = self._prefix
                self._lengths[piece.index] = len(self._prefix)
            if piece.token is not None and piece.logprob is not None:
                part.tokens.append(piece.token)
                part.logprobs.append(piece.logprob)
                part.offsets.append(self._lengths[piece.index])
                if piece.top is not None:
                    part.top.append(dict(piece.top))
            part.text += piece.text
            self._lengths[piece.index] += len(piece.text)
            if piece.finish_reason is not None:
                part.finish_reason = "stop" if piece.finish_reason == "stop" else "length"
        return [parts[index] for index in sorted(parts)]


def summarise(logprobs: Sequence[float]) -> dict[str, float]:
    """Put the log-probabilities of a text's tokens into three numbers."""
    logprob = math.fsum(logprobs)
    mean = logprob / max(1, len(logprobs))
    perplexity = math.exp(min(700.0, -mean))
    return {"logprob": logprob, "mean_logprob": mean, "perplexity": perplexity}


def draw_seed() -> int:
    """Draw a seed at random, small enough to be typed again."""
    return secrets.randbelow(2**32)
