"""One text while it is being generated: token by token, until it ends."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from model.config import SamplingConfig
from model.runtime.base import TextState
from model.text.deltas import DeltaBuffer, TextDelta
from model.text.stop_strings import StopStrings
from model.vocabulary import Vocabulary

__all__ = ["GeneratedSequence"]


class GeneratedSequence:
    """One text while it is being generated.

    Args:
        index: which of the request's texts it is.
        vocabulary: what the tokens mean; a word brings the space before it.
        prompt: the token ids that it continues.
        after_space: whether the first word needs no space before it.
        sampling: how its tokens are drawn. Repeated n-grams count from the prompt on.
        numbers: what it is drawn with, see `random_numbers`.
        stop: the text ends before the first of these.
        top_logprobs: how many of the likeliest tokens are reported with each one.
        buffer: where its deltas go.
        state: the network's before it reads `next_token`, without its axis of rows (any, any).
    """

    def __init__(
        self,
        index: int,
        vocabulary: Vocabulary,
        prompt: Sequence[int],
        *,
        after_space: bool,
        sampling: SamplingConfig,
        numbers: Iterator[float],
        stop: Sequence[str] = (),
        top_logprobs: int = 0,
        buffer: DeltaBuffer,
        state: TextState = (),
    ) -> None:
        self.sampling = sampling
        self.numbers = numbers
        self.top_logprobs = top_logprobs
        self.buffer = buffer
        self.state = state
        self.next_token = prompt[-1] if prompt else vocabulary.start_id
        self.finished = False
        self._index = index
        self._vocabulary = vocabulary
        self._remaining = sampling.max_tokens
        # Texts may be long, so n-grams are looked up: `NoRepeatNgram` compares all at each step.
        self._recent: tuple[int, ...] = ()  # the last n - 1 tokens
        self._followers: dict[tuple[int, ...], list[int]] = {}
        for token in prompt:
            self._remember(token)
        self._stop_strings = StopStrings(stop)
        self._space = " " if vocabulary.level == "word" else ""
        self._before = "" if after_space else self._space

    def mask(self, logprobs: NDArray[np.floating]) -> None:
        """Set the log-probabilities (vocabulary,) of tokens that would repeat an n-gram to -inf.

        Where none would be left, change nothing.

        Args:
            logprobs: (vocabulary,)
        """
        if not (repeats := self._followers.get(self._recent)):
            return
        masked = logprobs.copy()
        masked[repeats] = -math.inf
        if np.isfinite(masked).any():
            logprobs[:] = masked

    def append(
        self, token: int, logprob: float, top: tuple[tuple[str, float], ...] | None = None
    ) -> None:
        """Take the next token, and put the deltas that are certain by now into the buffer."""
        self.next_token = token
        self._remember(token)
        self._remaining -= 1
        self.buffer.deltas.extend(self._deltas(token, logprob, top))
        if self._remaining == 0 and not self.finished:
            self.finished = True
            end = TextDelta(self._index, "", finish_reason="length")
            self.buffer.deltas.extend([*self._stop_strings.flush(), end])

    def _remember(self, token: int) -> None:
        n = self.sampling.no_repeat_ngram_size
        if n == 0:
            return
        if len(self._recent) == n - 1:
            self._followers.setdefault(self._recent, []).append(token)
        self._recent = (*self._recent, token)[-n + 1 :] if n > 1 else ()

    def _deltas(
        self, token: int, logprob: float, top: tuple[tuple[str, float], ...] | None
    ) -> list[TextDelta]:
        name = self._vocabulary.tokens[token]
        if token == self._vocabulary.end_id:
            self.finished = True
            last = TextDelta(self._index, "", name, logprob, top, finish_reason="stop")
            return [*self._stop_strings.flush(), last]
        text = self._before + self._vocabulary.decode([token])
        self._before = self._space
        delta = TextDelta(self._index, text, name, logprob, top)
        deltas, self.finished = self._stop_strings.add(delta)
        if self.finished:
            deltas.append(TextDelta(self._index, "", finish_reason="stop"))
        return deltas
