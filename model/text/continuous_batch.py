"""Continuous batching: texts of all requests share each step, and join and leave at any step.

A step of sixteen rows costs little more than one of a single row, since it reads the weights once
(Yu et al. 2022, "Orca").
"""

import time
from collections.abc import Sequence
from threading import Lock

import numpy as np
from array_api_compat import array_namespace
from numpy.typing import NDArray

from model.arrays import top_k
from model.decoding.sampling import TokenSampler
from model.runtime.base import TextRunner, TextState
from model.text.sequence import GeneratedSequence
from model.vocabulary import Vocabulary

__all__ = ["ContinuousBatch"]

_MOST_BUFFERED = 1000  # deltas; a text is generated no further ahead of its reader


class ContinuousBatch:
    """The sequences that are generated together; any thread may ask for a step.

    Args:
        runner: takes the steps.
        vocabulary: what tokens mean.
        forbidden: token ids that are never written.
    """

    def __init__(
        self, runner: TextRunner, vocabulary: Vocabulary, forbidden: Sequence[int]
    ) -> None:
        self._runner = runner
        self._names = vocabulary.tokens
        self._allowed = np.zeros(len(vocabulary), dtype=np.float32)  # added to log-probabilities
        self._allowed[list(forbidden)] = -np.inf
        self._lock = Lock()
        self._sequences: list[GeneratedSequence] = []
        # Those of the last step, whose state is one tensor a part.
        self._rows: list[GeneratedSequence] = []
        self._state: TextState = ()
        self._sampler = TokenSampler((), ())

    def join(self, sequences: Sequence[GeneratedSequence]) -> None:
        """Generate these sequences too, from the next step on."""
        with self._lock:
            self._sequences += sequences

    def step(self) -> None:
        """Generate the next token of every sequence that is not too far ahead of its reader."""
        with self._lock:
            began = time.perf_counter()
            self._sequences = [
                sequence
                for sequence in self._sequences
                if not (sequence.finished or sequence.buffer.cancelled)
            ]
            rows = [s for s in self._sequences if len(s.buffer.deltas) < _MOST_BUFFERED]
            if rows != self._rows:
                self._gather(rows)
            if not rows:
                return
            tokens = np.array([sequence.next_token for sequence in rows])
            logprobs, self._state = self._runner.step(tokens, self._state)  # (rows, vocabulary)
            self._draw(logprobs)
            share = (time.perf_counter() - began) / len(rows)
            for sequence in rows:
                sequence.buffer.seconds += share

    def _gather(self, rows: list[GeneratedSequence]) -> None:
        """Put the states of these sequences together."""
        for i, sequence in enumerate(self._rows):
            sequence.state = tuple(part[:, i] for part in self._state)
        self._rows = rows
        self._state = tuple(
            array_namespace(*parts).stack(parts, axis=1)
            for parts in zip(*(sequence.state for sequence in rows), strict=True)
        )
        self._sampler = TokenSampler([s.sampling for s in rows], [s.numbers for s in rows])

    def _draw(self, logprobs: NDArray[np.float32]) -> None:
        """Draw a token of every row: (rows, vocabulary)."""
        scores = logprobs + self._allowed
        for sequence, row in zip(self._rows, scores, strict=True):
            sequence.mask(row)
        drawn = self._sampler.draw(scores)
        token_logprobs = logprobs[np.arange(len(drawn)), drawn]
        for sequence, token, logprob, row in zip(
            self._rows, drawn.tolist(), token_logprobs.tolist(), logprobs, strict=True
        ):
            top = self._likeliest(row, sequence.top_logprobs) if sequence.top_logprobs else None
            sequence.append(token, logprob, top)

    def _likeliest(self, logprobs: NDArray[np.float32], k: int) -> tuple[tuple[str, float], ...]:
        """Name the likeliest tokens of a row (vocabulary,), with their log-probabilities."""
        values, ids = top_k(logprobs[None], min(k, len(self._names)))
        names = (self._names[i] for i in ids[0].tolist())
        return tuple(zip(names, values[0].tolist(), strict=True))
