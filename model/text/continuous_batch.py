"""Texts that are written together, whoever asked for them: each step is one for all of them.

Texts come and go between any two steps (continuous batching, Yu et al. 2022), since a step of
sixteen rows costs little more than one of a single row: it reads the weights once. Knows runners,
drafts and chance; knows nothing of prompts, nor of who reads what is written.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from threading import Lock

import numpy as np
from array_api_compat import array_namespace
from numpy.typing import NDArray

from model.arrays import largest
from model.config import SamplingConfig
from model.decoding.sampling import Sampler
from model.runtime.text_base import TextRunner, TextState
from model.text.sequence import Draft
from model.text.stop_strings import TextDelta
from model.vocabulary import Vocabulary

__all__ = ["ContinuousBatch", "DeltaBuffer", "Text"]

_AHEAD = 1000  # tokens that a text is written ahead of who reads it


@dataclass
class DeltaBuffer:
    """Where pieces are laid until somebody takes them; several texts may share one.

    `seconds` is the time that was spent on its texts: of each step, the share of its rows.
    """

    pieces: list[TextDelta] = field(default_factory=list)
    seconds: float = 0.0
    left: bool = False  # nobody comes any more; may be set from any thread


@dataclass(eq=False)
class Text:
    """A text to be written.

    `token` is what is to be read next, and `state` the network's before it, each without its axis
    of rows (any, any); `top` is how many of the likeliest tokens are told beside each one.
    """

    draft: Draft
    desk: DeltaBuffer
    token: int
    state: TextState
    sampling: SamplingConfig
    chance: Iterator[float]
    top: int = 0
    written: int = 0

    def write(self, token: int, logprob: float, top: tuple[tuple[str, float], ...] | None) -> None:
        """Take the next token."""
        self.desk.pieces.extend(self.draft.add(token, logprob, top))
        self.written += 1
        if self.written == self.sampling.max_tokens and not self.draft.ended:
            self.desk.pieces.extend(self.draft.cut())


class ContinuousBatch:
    """Writes whatever texts have joined; any thread may ask for a step.

    Args:
        runner: takes the steps.
        vocabulary: what tokens mean.
        never: ids that are not to be written.
    """

    def __init__(self, runner: TextRunner, vocabulary: Vocabulary, never: Sequence[int]) -> None:
        self._runner = runner
        self._names = vocabulary.tokens
        self._allowed = np.zeros(len(vocabulary), dtype=np.float32)  # added to a log-probability
        self._allowed[list(never)] = -np.inf
        self._lock = Lock()
        self._texts: list[Text] = []
        # Those of the last step, whose state lies together.
        self._rows: list[Text] = []
        self._state: TextState = ()
        self._sampler = Sampler((), ())

    def join(self, texts: Sequence[Text]) -> None:
        """Have texts written too, from the next step on."""
        with self._lock:
            self._texts += texts

    def step(self) -> None:
        """Write the next token of every text, but of those far ahead of who reads them."""
        with self._lock:
            began = time.perf_counter()
            self._texts = [t for t in self._texts if not (t.draft.ended or t.desk.left)]
            rows = [t for t in self._texts if len(t.desk.pieces) < _AHEAD]
            if rows != self._rows:
                self._gather(rows)
            if not rows:
                return
            tokens = np.array([text.token for text in rows])
            logprobs, self._state = self._runner.step(tokens, self._state)  # (rows, vocabulary)
            self._write(logprobs)
            share = (time.perf_counter() - began) / len(rows)
            for text in rows:
                text.desk.seconds += share

    def _gather(self, rows: list[Text]) -> None:
        """Lay the states of other rows together."""
        for i, text in enumerate(self._rows):
            text.state = tuple(part[:, i] for part in self._state)
        self._rows = rows
        self._state = tuple(
            array_namespace(*parts).stack(parts, axis=1)
            for parts in zip(*(text.state for text in rows), strict=True)
        )
        self._sampler = Sampler([t.sampling for t in rows], [t.chance for t in rows])

    def _write(self, logprobs: NDArray[np.float32]) -> None:
        """Draw a token of every row: (rows, vocabulary)."""
        allowed = logprobs + self._allowed
        for text, row in zip(self._rows, allowed, strict=True):
            text.draft.forbid(row)
        drawn = self._sampler.draw(allowed)
        own = logprobs[np.arange(len(drawn)), drawn]
        drawn_one_by_one = zip(self._rows, drawn.tolist(), own.tolist(), logprobs, strict=True)
        for text, token, logprob, beside in drawn_one_by_one:
            text.token = token
            text.write(token, logprob, self._likeliest(beside, text.top) if text.top else None)

    def _likeliest(self, logprobs: NDArray[np.float32], top: int) -> tuple[tuple[str, float], ...]:
        """Name the likeliest tokens: (vocabulary,)."""
        values, ids = largest(logprobs[None], min(top, len(self._names)))
        names = (self._names[i] for i in ids[0].tolist())
        return tuple(zip(names, values[0].tolist(), strict=True))
