"""What a language model reports of a text: how likely it is, and what its units do."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model.text.deltas import summarise

__all__ = ["Activations", "TextScore", "TextToken", "UnitStates"]


@dataclass(frozen=True)
class TextToken:
    """A token and the natural logarithm of its probability given those before it."""

    token: str
    logprob: float


@dataclass(frozen=True)
class TextScore:
    """The score of a text. `characters` counts those of the text as it was given."""

    tokens: tuple[TextToken, ...]
    characters: int

    @property
    def logprob(self) -> float:
        """The log-probability of the whole text."""
        return math.fsum(token.logprob for token in self.tokens)

    @property
    def perplexity(self) -> float:
        """Exp of the mean negative log-probability of a token; 1 for no tokens."""
        return summarise([token.logprob for token in self.tokens])["perplexity"]

    @property
    def bits_per_character(self) -> float:
        """-log2 of the text's probability over its characters; 0 for no characters."""
        return max(0.0, -self.logprob) / math.log(2) / max(1, self.characters)


@dataclass(frozen=True)
class UnitStates:
    """The state of every unit after each token that was read, the start token first.

    `ids` are the tokens', (time,). `parts` are h, and c if the cells have one, each
    (time, layers, hidden).
    """

    ids: npt.NDArray[np.int64]
    parts: tuple[npt.NDArray[np.float32], ...]


@dataclass(frozen=True)
class Activations:
    """The activation of every unit after each token.

    `values` is (tokens, units), -1 to 1: tanh(c) of an LSTM (Karpathy, Johnson, Fei-Fei 2015),
    h of the other cells. `units` names them, layer by layer. `states`, if asked for, is what they
    were computed from.
    """

    tokens: tuple[str, ...]
    values: npt.NDArray[np.float32]
    units: tuple[str, ...]
    states: UnitStates | None = None
