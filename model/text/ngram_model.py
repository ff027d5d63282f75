"""An n-gram model in the place of a network: it writes and scores texts as a network does.

    writer = count(Path("shakespeare.txt"), order=7)
    print("".join(piece.text for piece in writer.generate("ROMEO:", seed=1)))

Puts `model.text.ngram` behind `model.text.language_model`; knows nothing of how either works.
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
    """An n-gram model; its state is the last tokens."""

    def __init__(self, ngram: NGram) -> None:
        super().__init__()
        self.ngram = ngram

    def initial_state(self, batch: int) -> CellState:
        """Make the state before the first token, (1, batch, order - 1)."""
        return tuple(part[None] for part in self.ngram.initial_state(batch))

    def step(self, tokens: Tensor, state: CellState) -> tuple[Tensor, CellState]:
        """Read one token a row: (batch,) -> logprobs (batch, vocabulary), and the next state."""
        logprobs, state = self.ngram.step(tokens[None], state)
        return logprobs[0], state

    def forward(self, tokens: Tensor, state: CellState) -> tuple[Tensor, CellState]:
        """Read sequences: (batch, time) -> logprobs (batch, time, vocabulary), the last state."""
        seen: list[Tensor] = []
        for token in tokens.unbind(1):
            logprobs, state = self.step(token, state)
            seen.append(logprobs)
        return torch.stack(seen, dim=1), state


def count(text: str | Path, order: int, *, level: Level = "character") -> LanguageModel:
    """Count the n-grams of a text, and give what writes and scores as a network would.

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
