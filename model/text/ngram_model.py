"""An n-gram model as a language model: it generates and scores texts as a network does.

    language_model = count(Path("shakespeare.txt"), order=7)
    print("".join(delta.text for delta in language_model.generate("ROMEO:", seed=1)))

Counting takes the place of training; nothing is saved.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.config import RecurrentConfig, SamplingConfig, TextConfig
from model.runtime.base import TextState, read_by_steps
from model.text.language_model import LanguageModel
from model.text.ngram import NGram
from model.vocabulary import Level, Vocabulary

__all__ = ["NGramRunner", "count"]


class NGramRunner:
    """Runs an n-gram model as if it were a network; see `TextRunner`.

    Its state is the last tokens, (1, rows, order - 1).
    """

    device = "cpu"
    has_units = False

    def __init__(self, ngram: NGram) -> None:
        self.ngram = ngram

    def initial_state(self) -> TextState:
        """Return one text's state before its first token, see `TextRunner.initial_state`."""
        return tuple(part[None] for part in self.ngram.initial_state(1))

    def read(
        self, tokens: NDArray[np.int64], state: TextState
    ) -> tuple[NDArray[np.float32], TextState]:
        """Read one text, see `TextRunner.read`."""
        return read_by_steps(self.step, tokens, state)

    def step(
        self, tokens: NDArray[np.int64], state: TextState
    ) -> tuple[NDArray[np.float32], TextState]:
        """Read one token per row, see `TextRunner.step`."""
        logprobs, state = self.ngram.step(tokens[None], state)
        return logprobs[0], state

    def place(self, state: TextState) -> TextState:
        """Return the state, which is NumPy's already."""
        return state


def count(text: str | Path, order: int, *, level: Level = "character") -> LanguageModel:
    """Count the n-grams of a text, and return a language model of them.

    Args:
        text: the text, or the path of a file in UTF-8 that holds it.
        order: tokens in the longest n-grams, 1..20.
        level: what a token is.

    Raises:
        ValueError: the order is out of its range.
    """
    if isinstance(text, Path):
        text = text.read_text(encoding="utf-8")
    vocabulary = Vocabulary.build([text], level)
    ngram = NGram.train(vocabulary.encode(text), len(vocabulary), order)
    config = TextConfig(f"{order}-gram", "1", level, RecurrentConfig(), SamplingConfig())
    return LanguageModel(NGramRunner(ngram), config, vocabulary)
