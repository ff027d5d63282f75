"""An n-gram model as a language model: it generates and scores texts as a network does.

    language_model = count(Path("shakespeare.txt"), order=7)
    print("".join(delta.text for delta in language_model.generate("ROMEO:", seed=1)))

Counting takes the place of training; nothing is saved.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.config import RecurrentConfig, SamplingConfig, TextConfig
from model.files import read_text
from model.runtime.base import TextState, read_by_steps
from model.text.language_model import LanguageModel
from model.text.ngram import MAX_ORDER, NGram, Smoothing
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


def count(
    text: str | Path,
    order: int,
    *,
    level: Level = "character",
    smoothing: Smoothing = "kneser-ney",
) -> LanguageModel:
    """Count the n-grams of a text, and return a language model of them.

    Characters are counted as one text after a start token, so that what is written without a prompt
    begins as the text does. Words are counted line by line, each between a start and an end token.

    Args:
        text: the text, or the path of a file in UTF-8 that holds it.
        order: tokens in the longest n-grams, 1..20.
        level: what a token is.
        smoothing: see `model.text.ngram`. Without, what never occurred has a log-probability of
            -inf.

    Raises:
        ValueError: the order is out of its range, or the text has fewer tokens, or is not UTF-8.
        OSError: the file cannot be read.
    """
    if isinstance(text, Path):
        text = read_text(text)
    vocabulary = Vocabulary.build([text], level)
    ids = _encode(text, vocabulary)
    name = {"character": "characters", "word": "words with an end after each line"}[level]
    start = ids == vocabulary.start_id
    if not (tokens := len(ids) - int(start.sum())):
        raise ValueError(f"the text has no {level}: there is nothing to count")
    if tokens < order <= MAX_ORDER:
        raise ValueError(f"the text is too short: {tokens} {name} for n-grams of order {order}")
    ngram = NGram.train(ids, len(vocabulary), order, smoothing=smoothing, start=vocabulary.start_id)
    config = TextConfig(
        f"{order}-gram", "1", level, RecurrentConfig(), SamplingConfig(), ends=level == "word"
    )
    return LanguageModel(NGramRunner(ngram), config, vocabulary)


def _encode(text: str, vocabulary: Vocabulary) -> NDArray[np.int64]:
    """Return the tokens of a text of which the vocabulary knows all, and where texts start."""
    if vocabulary.level == "character":
        codes = np.frombuffer(text.encode("utf-32-le"), dtype="<u4")
        ids = np.zeros(int(codes.max(initial=0)) + 1, dtype=np.int64)
        for token in vocabulary.tokens[vocabulary.unknown_id + 1 :]:
            ids[ord(token)] = vocabulary.encode(token)[0]
        return np.append(vocabulary.start_id, ids[codes])
    start, end = vocabulary.start_id, vocabulary.end_id
    lines = map(vocabulary.encode, text.splitlines())
    return np.array([id_ for line in lines if line for id_ in (start, *line, end)], dtype=np.int64)
