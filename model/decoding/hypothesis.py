"""What decoding works on and what it returns, whatever the model and the way of choosing."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from model.arrays import Array

__all__ = [
    "DecodingCancelled",
    "Hypothesis",
    "RankedHypothesis",
    "SearchState",
    "StepFunction",
]

SearchState = tuple[Array, ...]  # each (batch, beam, ...)

# (tokens (batch, beam), state) -> (log-probabilities (batch, beam, vocabulary), next state)
StepFunction = Callable[[Array, SearchState], tuple[Array, SearchState]]


class DecodingCancelled(Exception):
    """Decoding stopped between two steps, since nobody waits for its results any more."""


@dataclass(frozen=True)
class Hypothesis:
    """A sequence that was found.

    `tokens` includes the end token if the sequence is finished; `logprobs` has one natural
    log-probability a token, and `logprob` is their sum.
    """

    tokens: tuple[int, ...]
    logprobs: tuple[float, ...]
    finished: bool

    @property
    def logprob(self) -> float:
        """The log-probability of the whole sequence."""
        return math.fsum(self.logprobs)

    def score(self, length_penalty: float) -> float:
        """Return what hypotheses are ranked by: `logprob / length ** length_penalty`."""
        return self.logprob / math.pow(len(self.tokens), length_penalty)


class RankedHypothesis(NamedTuple):
    """A hypothesis, with what is known of its rank.

    `agreement` is that with the words that people would use, and `confidence` the chance that it is
    good, see `model.captioning.calibration`; each 0 to 1, or None if unknown.
    """

    hypothesis: Hypothesis
    agreement: float | None = None
    confidence: float | None = None
