"""An n-gram model as a language model: it generates and scores texts as a network does.

    language_model = count(Path("shakespeare.txt"), order=7)
    print("".join(delta.text for delta in language_model.generate("ROMEO:", seed=1)))

Counting takes the place of training; nothing is saved.
"""

from pathlib import Path

import torch
from torch import Tensor

from model.config import RecurrentConfig, SamplingConfig, TextConfig
from model.networks.cells import CellState
from model.networks.text_network import TokenNetwork
from model.text.language_model import LanguageModel
from model.text.ngram import NGram
from model.vocabulary import Level, Vocabulary

__all__ = ["NGramNetwork", "count"]


class NGramNetwork(TokenNetwork):
    """An n-gram model with the interface of a network; its state is the last tokens."""

    def __init__(self, ngram: NGram) -> None:
        super().__init__()
        self.ngram = ngram

    def initial_state(self, batch: int) -> CellState:
        """Return the state before the first token, (1, batch, order - 1)."""
        return tuple(part[None] for part in self.ngram.initial_state(batch))

    def step(self, tokens: Tensor, state: CellState) -> tuple[Tensor, CellState]:
        """Read one token a row: (batch,) -> logprobs (batch, vocabulary), and the next state."""
        logprobs, state = self.ngram.step(tokens[None], state)
        return logprobs[0], state

    def forward(self, tokens: Tensor, state: CellState) -> tuple[Tensor, CellState]:
        """Read sequences: (batch, time) -> logprobs (batch, time, vocabulary), the last state."""
        steps: list[Tensor] = []
        for token in tokens.unbind(1):
            logprobs, state = self.step(token, state)
            steps.append(logprobs)
        return torch.stack(steps, dim=1), state


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
    return LanguageModel(NGramNetwork(ngram), config, vocabulary)
