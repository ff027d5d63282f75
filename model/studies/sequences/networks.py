"""Two small networks on `Recurrent`: one that labels a sequence, one that rewrites it."""

import torch
from torch import Tensor, nn

from model.config import CellName
from model.networks.recurrent import Recurrent

__all__ = ["END", "PAD", "START", "Labeller", "Rewriter"]

PAD, START, END = range(3)  # tokens of a `Rewriter`


class Labeller(nn.Module):
    """Reads vectors and scores labels after each: many to one by the last, many to many by all.

    Args:
        cell, input_size, hidden_size: see `Recurrent`.
        labels: how many there are.
        memory: without it every step starts anew, so that a label depends on one vector alone.
    """

    def __init__(
        self,
        cell: CellName,
        input_size: int,
        hidden_size: int,
        labels: int,
        *,
        memory: bool = True,
    ) -> None:
        super().__init__()
        self.recurrent = Recurrent(cell, input_size, hidden_size)
        self.to_label = nn.Linear(hidden_size, labels)
        self.memory = memory

    def forward(self, inputs: Tensor) -> Tensor:
        """Score labels after each step: (batch, time, input) -> (batch, time, labels)."""
        batch, time, size = inputs.shape
        if not self.memory:
            inputs = inputs.reshape(batch * time, 1, size)
        hidden, _ = self.recurrent(inputs, self.recurrent.initial_state(len(inputs)))
        logits: Tensor = self.to_label(hidden)
        return logits.reshape(batch, time, -1)


class Rewriter(nn.Module):
    """Reads a sequence, then writes another from the state that is left (Sutskever et al. 2014).

    With attention, the writer also looks at every state of the reader before each token (Bahdanau
    et al. 2014; the scores are dot products and the context joins h at the output, as in Luong et
    al. 2015).

    Args:
        cell, hidden_size: of the reader and of the writer, see `Recurrent`.
        tokens: how many there are, `PAD`, `START` and `END` included.
        attention: whether the writer has it.
    """

    def __init__(
        self, cell: CellName, hidden_size: int, tokens: int, *, attention: bool = False
    ) -> None:
        super().__init__()
        self.tokens = tokens
        self.reader = Recurrent(cell, tokens, hidden_size)
        self.writer = Recurrent(cell, tokens, hidden_size)
        self.attention = attention
        self.to_token = nn.Linear((1 + attention) * hidden_size, tokens)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Score what comes after each token of a target that is given.

        Args:
            source: (batch, source), padded on the left.
            target: (batch, target), from `START` on.

        Returns:
            (batch, target, tokens)
        """
        read, state = self._read(source)
        hidden, _ = self.writer(self._one_hot(target), state)
        return self._score(hidden, read, source)

    def rewrite(self, source: Tensor, length: int) -> Tensor:
        """Write the likeliest token after each other: (batch, source) -> (batch, length)."""
        read, state = self._read(source)
        token = torch.full_like(source[:, 0], START)
        written = []
        for _ in range(length):
            hidden, state = self.writer.step(self._one_hot(token), state)
            token = self._score(hidden[:, None], read, source)[:, 0].argmax(-1)
            written.append(token)
        return torch.stack(written, dim=1)

    def _read(self, source: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        inputs = self._one_hot(source) * (source != PAD)[..., None]
        read, state = self.reader(inputs, self.reader.initial_state(len(source)))
        return read, state

    def _score(self, hidden: Tensor, read: Tensor, source: Tensor) -> Tensor:
        if self.attention:
            scores = hidden @ read.mT / read.shape[-1] ** 0.5  # (batch, target, source)
            scores = scores.masked_fill((source == PAD)[:, None], -torch.inf)
            hidden = torch.cat([hidden, scores.softmax(-1) @ read], dim=-1)
        logits: Tensor = self.to_token(hidden)
        return logits

    def _one_hot(self, tokens: Tensor) -> Tensor:
        return nn.functional.one_hot(tokens, self.tokens).to(self.to_token.weight.dtype)
