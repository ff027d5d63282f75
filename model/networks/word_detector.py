"""Detect the words that a picture suggests, before any caption is written.

A linear detector over the whole picture, with one output per word (Fang et al. 2015, section 3,
detect words first and write afterwards). Its evidence is added to the decoder's scores through a
learned gate, so that a word that few captions contain can be written as soon as its picture is
recognised: a copy mechanism (Gu et al. 2016) over what the CNN recognises.
"""

import torch
from torch import Tensor, nn

from model.vocabulary import Vocabulary

__all__ = ["WordDetector"]

_FIRST = Vocabulary.unknown_id + 1  # id of the commonest word


class WordDetector(nn.Module):
    """Evidence for each of the commonest words of the vocabulary, from the mean of the grid.

    evidence = W LayerNorm(mean of the grid), and P(the picture's captions say word w) =
    sigmoid(evidence_w + usual_w), where `usual` is the log-odds for any picture.

    Args:
        channels: features in a cell of the grid.
        words: how many of the vocabulary's commonest words to detect.
        dropout: on the features, in training.
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
        """Compute the evidence, as log-odds in nats.

        Args:
            grid: (batch, rows, columns, channels)

        Returns:
            (batch, words)
        """
        evidence: Tensor = self.evidence(self.dropout(self.norm(grid.mean((1, 2)))))
        return evidence

    def log_odds(self, grid: Tensor) -> Tensor:
        """Compute the log-odds that the picture's captions say each word: (batch, words)."""
        evidence: Tensor = self(grid)
        return evidence.float() + self.usual

    def said(self, captions: Tensor) -> Tensor:
        """Compute the share of a picture's captions that say each word.

        Args:
            captions: ids (pictures, captions, steps), padded; empty captions do not count.

        Returns:
            (pictures, words), 0 to 1.
        """
        says = torch.zeros(*captions.shape[:2], _FIRST + self.words, device=captions.device)
        says.scatter_(2, captions * (captions < says.shape[2]), 1.0)  # other words count as padding
        written = (captions > Vocabulary.pad_id).any(-1).sum(1)  # (pictures,)
        return says[:, :, _FIRST:].sum(1) / written.clamp(min=1)[:, None]

    @torch.no_grad()
    def expect(self, rates: Tensor) -> None:
        """Initialise `usual` from the rates, 0 to 1, at which captions say each word."""
        self.usual.copy_(torch.logit(rates[: self.words].clamp(1e-4, 1 - 1e-4)))

    def spread(self, evidence: Tensor, vocabulary_size: int) -> Tensor:
        """Place evidence at its words' ids: (..., words) -> (..., vocabulary), 0 elsewhere."""
        after = vocabulary_size - _FIRST - self.words
        return nn.functional.pad(evidence, (_FIRST, after))
