"""What a language model adds to a text with each token, and whole texts put together from it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

__all__ = [
    "DeltaBuffer",
    "TextAssembler",
    "TextDelta",
    "TextPart",
    "summarise",
]


@dataclass(slots=True)  # not frozen: building one would take three times as long
class TextDelta:
    """One token of a text that is being generated.

    `index` says of which text, `text` what the token adds to it, `logprob` is the natural
    log-probability that the model gave the token, whatever the sampling made of it, and `top` the
    likeliest tokens with theirs, if asked for. The last delta of a text says why it ended: `stop`
    (at a stop string, or by the end token) or `length`; it may add nothing, and have no token.
    """

    index: int
    text: str
    token: str | None = None
    logprob: float | None = None
    top: tuple[tuple[str, float], ...] | None = None
    finish_reason: Literal["stop", "length"] | None = None


@dataclass
class DeltaBuffer:
    """The deltas of all texts of a request, until somebody takes them.

    `seconds` is the time that the model spent on them: of each step, their share of the rows.
    """

    deltas: list[TextDelta] = field(default_factory=list)
    seconds: float = 0.0
    cancelled: bool = False  # nobody wants them any more; may be set from any thread


@dataclass
class TextPart:
    """A text, or what some deltas added to it.

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
    """An assembler of deltas, which may come in any number of calls.

    Args:
        prefix: what every text begins with, before its first delta.
    """

    def __init__(self, prefix: str = "") -> None:
        self._prefix = prefix
        self._lengths: dict[int, int] = {}

    def join(self, deltas: Iterable[TextDelta]) -> list[TextPart]:
        """Return what these deltas add to each text, by its index."""
        parts: dict[int, TextPart] = {}
        for delta in deltas:
            part = parts.setdefault(delta.index, TextPart(delta.index))
            if delta.index not in self._lengths:
                part.text = self._prefix
                self._lengths[delta.index] = len(self._prefix)
            if delta.token is not None and delta.logprob is not None:
                part.tokens.append(delta.token)
                part.logprobs.append(delta.logprob)
                part.offsets.append(self._lengths[delta.index])
                if delta.top is not None:
                    part.top.append(dict(delta.top))
            part.text += delta.text
            self._lengths[delta.index] += len(delta.text)
            if delta.finish_reason is not None:
                part.finish_reason = delta.finish_reason
        return [parts[index] for index in sorted(parts)]


def summarise(logprobs: Sequence[float]) -> dict[str, float]:
    """Return log-probability, mean log-probability and perplexity of a text.

    What an n-gram model without smoothing finds impossible has -inf, -inf and inf.
    """
    logprob = math.fsum(logprobs)
    mean = logprob / max(1, len(logprobs))
    perplexity = math.inf if mean == -math.inf else math.exp(min(700.0, -mean))
    return {"logprob": logprob, "mean_logprob": mean, "perplexity": perplexity}
