"""Fit which words people use of a picture, for the consensus reranker.

Ridge regression (Hoerl and Kennard 1970) from the encoder's features of the training pictures to
the share of each picture's captions that have each word. `model.captioning.consensus` uses it.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from model.captioning.expected_words import ExpectedWords
from model.vocabulary import Vocabulary

__all__ = ["fit_expected_words"]


def fit_expected_words(
    features: Tensor,
    captions: Sequence[Sequence[str]],
    vocabulary: Vocabulary,
    *,
    most_words: int = 1500,
    min_pictures: int = 5,
    shrinkage: float = 0.03,
) -> ExpectedWords:
    """Fit the regression to pictures with people's captions.

    Args:
        features: the mean of each picture's encoder grid (pictures, channels).
        captions: of each picture, at least one.
        vocabulary: of the captioner. Words outside it are left out.
        most_words: so many words are kept, the commonest.
        min_pictures: words in the captions of fewer pictures are left out, unless that leaves none.
        shrinkage: the penalty for large weights, in mean variances of a channel over all pictures.

    Raises:
        ValueError: no caption has a word of the vocabulary.
    """
    encoded = [[set(vocabulary.encode(caption)) for caption in each] for each in captions]
    said = torch.zeros(len(vocabulary), dtype=torch.long)  # pictures whose captions have the token
    for each in encoded:
        said[list(set().union(*each))] += 1
    said[: Vocabulary.unknown_id + 1] = 0  # special tokens
    if not said.any():
        raise ValueError(
            "no caption has a word of the vocabulary, so a consensus cannot be built: leave it out"
        )
    commonest = said.argsort(descending=True, stable=True)[:most_words]
    least = min(min_pictures, int(said.max()))
    tokens = commonest[said[commonest] >= max(1, least)].sort().values
    table, wanted = features.double(), _shares(encoded, tokens, len(vocabulary))
    weights = _ridge(table, wanted, shrinkage)
    scales = weights.abs().amax(0).clamp(min=1e-12) / np.iinfo(np.int8).max  # (words,)
    rounded = (weights / scales).round()
    # By the rounded weights, so that the mean picture still has the mean shares.
    constant = wanted.mean(0) - table.mean(0) @ (rounded * scales)  # (words,)
    return ExpectedWords(
        tokens=tokens.int().numpy(),
        weights=rounded.to(torch.int8).numpy(),
        scales=scales.float().numpy(),
        shares=constant.float().numpy(),
        rarity=(len(captions) / said[tokens].double()).log().float().numpy(),
    )


def _shares(encoded: Sequence[Sequence[set[int]]], tokens: Tensor, size: int) -> Tensor:
    """Return the share of each picture's captions that have each token: (pictures, tokens)."""
    columns = torch.full((size,), -1)
    columns[tokens] = torch.arange(len(tokens))
    shares = torch.zeros(len(encoded), len(tokens), dtype=torch.double)
    for row, each in zip(shares, encoded, strict=True):
        for caption in each:
            found = columns[list(caption)]
            row[found[found >= 0]] += 1 / len(each)
    return shares


def _ridge(features: Tensor, shares: Tensor, shrinkage: float) -> Tensor:
    """Return the weights of a ridge regression: (channels, words)."""
    centred = features - features.mean(0)
    scatter = centred.T @ centred
    penalty = (shrinkage * scatter.diagonal().mean()).clamp(min=1e-12)
    scatter.diagonal().add_(penalty)
    weights: Tensor = torch.linalg.solve(scatter, centred.T @ (shares - shares.mean(0)))
    return weights
