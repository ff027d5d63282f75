"""Name what the CNN's own classifier recognises, whether or not captions ever said it.

A CNN that was trained on ImageNet tells a thousand classes apart, most of which hardly any caption
of a small data set mentions. Its classifier still works on a grid of a tuned encoder, and a table
says which words name which classes. Writing of classes that no caption was trained on is what
Hendricks et al. 2016, "Deep Compositional Captioning", do; here the classes' words enter where the
word detector's evidence does.
"""

import torch
from torch import Tensor, nn

__all__ = ["ClassNames"]

# A word less likely than this is left to the word detector.
_LEAST_PROBABILITY = 0.05


class ClassNames(nn.Module):
    """Evidence for words from the classes that a picture may belong to.

    P(class) = softmax(W m + b), where m is the mean of the grid: the CNN's own classifier.
    P(captions say word w) = sum over the classes of P(class) rates[class, w].

    Args:
        channels: features in a cell of the grid.
        classes: of the classifier.
        words: how many words name classes.
    """

    words: Tensor
    rates: Tensor
    usual: Tensor

    def __init__(self, channels: int, classes: int, words: int) -> None:
        super().__init__()
        self.classifier = nn.Linear(channels, classes)
        self.classifier.requires_grad_(False)  # captions would teach it to forget
        # The share of the captions of a class's pictures that say each word, 0 to 1.
        self.register_buffer("rates", torch.zeros(classes, words))
        # The log-odds of each word for any picture, and its id.
        self.register_buffer("usual", torch.zeros(words))
        self.register_buffer("words", torch.zeros(words, dtype=torch.long))

    def forward(self, grid: Tensor) -> Tensor:
        """Compute the probability that captions say each word: -> (batch, words).

        Args:
            grid: (batch, rows, columns, channels)
        """
        classes = self.classifier(grid.mean((1, 2))).float().softmax(-1)  # (batch, classes)
        chances: Tensor = classes @ self.rates.float()
        return chances

    def raise_evidence(self, grid: Tensor, evidence: Tensor) -> Tensor:
        """Raise evidence to what the classes say, where they say more.

        A word that is likely, and whose evidence falls short of its log-odds beyond the usual ones,
        gets these: what a word detector that knew the word would find.

        Args:
            grid: (batch, rows, columns, channels)
            evidence: of the word detector, in nats (batch, vocabulary).

        Returns:
            (batch, vocabulary)
        """
        chances = self(grid)
        odds = torch.logit(chances, eps=1e-6) - self.usual.float()  # (batch, words)
        ids = self.words.expand_as(odds)
        found = evidence.gather(1, ids)
        raised = torch.maximum(found, odds.to(evidence.dtype))
        return evidence.scatter(1, ids, torch.where(chances > _LEAST_PROBABILITY, raised, found))
