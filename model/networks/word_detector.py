"""Which words a picture speaks for, before any sentence is written.

A linear detector over the whole picture, one output a word (Fang et al. 2015, section 3, detects
words first and writes afterwards). What it finds is added to the decoder's scores through a
learned gate, so that a word seen in few captions can be written as soon as its picture is
recognised: a copy mechanism (Gu et al. 2016) over what the CNN knows. Knows nothing of sentences.
"""

import torch
from torch import Tensor, nn

from model.vocabulary import Vocabulary

__all__ = ["WordDetector"]

_FIRST = Vocabulary.unknown_id + 1  # the first id that is a word, and the commonest


class WordDetector(nn.Module):
    """Evidence for each of the commonest words of the vocabulary, from the mean of the grid.

    evidence = W LayerNorm(mean of the grid), and P(the picture's captions say word w) =
    sigmoid(evidence_w + usual_w), where `usual` is what is expected of any picture.

    Args:
        channels: features in a cell of the grid.
        words: how many of the vocabulary's first words are looked for.
        dropout: of the features, in training.
    """

    def __init__(self, channels: int, words: int, dropout: float) -> None:
        super().__init__()
        self.words = words
        self.norm = nn.LayerNorm(channels)
        self.dropout = nn.Dropout(dropout)
        self.evidence = nn.Linear(channels, words, bias=False)
        nn.init.zeros_(self.evidence.weight)
        self.usual = nn.Parameter(torch.zeros(words))

    def forward(self, grid: Tensor) -> Tensor:
        """Give the evidence, in nats of log-odds.

        Args:
            grid: (batch, rows, columns, channels)

        Returns:
            (batch, words)
        """
        evidence: Tensor = self.evidence(self.dropout(self.norm(grid.mean((1, 2)))))
        return evidence

    def log_odds(self, grid: Tensor) -> Tensor:
        """Give the log-odds that the picture's captions say each word: (batch, words)."""
        evidence: Tensor = self(grid)
        return evidence.float() + self.usual

    def said(self, captions: Tensor) -> Tensor:
        """Give the share of a picture's captions that say each word.

        Args:
            captions: ids (pictures, captions, steps), padded; captions of no words do not count.

        Returns:
            (pictures, words), 0 to 1.
        """
        says = torch.zeros(*captions.shape[:2], _FIRST + self.words, device=captions.device)
        says.scatter_(2, captions * (captions < says.shape[2]), 1.0)  # others count as padding
        written = (captions > Vocabulary.pad_id).any(-1).sum(1)  # (pictures,)
        return says[:, :, _FIRST:].sum(1) / written.clamp(min=1)[:, None]

    @torch.no_grad()
    def expect(self, rates: Tensor) -> None:
        """Start from the rates at which captions say each word of the vocabulary, 0 to 1."""
        self.usual.copy_(torch.logit(rates[: self.words].clamp(1e-4, 1 - 1e-4)))

    def spread(self, evidence: Tensor, vocabulary_size: int) -> Tensor:
        """Put evidence at its words' ids: (..., words) -> (..., vocabulary), 0 elsewhere."""
        after = vocabulary_size - _FIRST - self.words
        return nn.functional.pad(evidence, (_FIRST, after))
