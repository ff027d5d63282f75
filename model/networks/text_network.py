"""The network of a language model: token ids in, scores of the next token out."""

import torch
from torch import Tensor, nn

from model.bundle.read import Bundle
from model.config import RecurrentConfig, TextConfig
from model.networks.cells import CellState
from model.networks.recurrent import Recurrent
from model.networks.weights import load_weights

__all__ = ["TextNetwork", "load_text_network"]


class TextNetwork(nn.Module):
    """A stack of recurrent cells: tokens in, scores of the next token out.

    Args:
        config: sizes.
        vocabulary_size: number of tokens.
    """

    def __init__(self, config: RecurrentConfig, vocabulary_size: int) -> None:
        super().__init__()
        self.config = config
        self.vocabulary_size = vocabulary_size
        embedded, hidden = config.embedding_size, config.hidden_size
        self.embedding = nn.Embedding(vocabulary_size, embedded) if embedded else None
        if self.embedding is not None:
            nn.init.normal_(self.embedding.weight, std=self.embedding.embedding_dim**-0.5)
        self.dropout = nn.Dropout(config.dropout)
        self.recurrent = Recurrent(
            config.cell, embedded or vocabulary_size, hidden, config.layers, config.dropout
        )
        if config.tie_output and embedded:
            # Output and embedding share weights (Press and Wolf 2017); `to_word` resizes h.
            self.to_word = nn.Linear(hidden, embedded)
            self.output_bias = nn.Parameter(torch.zeros(vocabulary_size))
        else:
            self.to_word = nn.Linear(hidden, vocabulary_size)

    def initial_state(self, batch: int) -> CellState:
        """Return the state before the first token, each (layers, batch, hidden)."""
        return self.recurrent.initial_state(batch)

    def read(self, tokens: Tensor) -> Tensor:
        """Embed tokens: (...) -> (..., input)."""
        if self.embedding is None:
            one_hot = nn.functional.one_hot(tokens, self.vocabulary_size)
            return one_hot.to(self.to_word.weight.dtype)
        embedded: Tensor = self.dropout(self.embedding(tokens))
        return embedded

    def score(self, hidden: Tensor) -> Tensor:
        """Score every token: (..., hidden) -> (..., vocabulary)."""
        word: Tensor = self.to_word(self.dropout(hidden))
        if self.config.tie_output and self.embedding is not None:
            return nn.functional.linear(word, self.embedding.weight, self.output_bias)
        return word

    def forward(self, tokens: Tensor, state: CellState) -> tuple[Tensor, CellState]:
        """Read whole sequences.

        Args:
            tokens: (batch, time)
            state: each (layers, batch, hidden)

        Returns:
            logits of what comes after each token (batch, time, vocabulary); the last state.
        """
        hidden, state = self.recurrent(self.read(tokens), state)
        return self.score(hidden), state

    def step(self, tokens: Tensor, state: CellState) -> tuple[Tensor, CellState]:
        """Read one token per row: (batch,) -> logits (batch, vocabulary), and the next state."""
        hidden, state = self.recurrent.step(self.read(tokens), state)
        return self.score(hidden), state


def load_text_network(bundle: Bundle[TextConfig]) -> TextNetwork:
    """Build a bundle's network, with its weights in float32, on the CPU.

    Raises:
        BundleError: the weights do not fit the network.
    """
    with torch.device("meta"):  # shapes only: memory is allocated once they are known to fit
        network = TextNetwork(bundle.config.network, len(bundle.vocabulary))
    load_weights(bundle, network)
    return network
