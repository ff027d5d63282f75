"""Rerank the captions of a beam by how well they agree with what people would say of the picture.

    score = agreement + likelihood x mean_logprob + rarity x R

The likeliest caption of a picture unlike those that the captioner was trained on is often a bold
guess; one whose words people use of pictures like it is more often right (Devlin et al. 2015,
"Exploring Nearest Neighbor Approaches for Image Captioning"; Mao et al. 2015, section 8). A
regression from the picture's features says which words those are (`expected_words.py`).

`agreement` is the cosine between the TF-IDF vector of a caption's words and that of the expected
ones (CIDEr of single words, Vedantam et al. 2015, equation 2), except that repeating a word gains
nothing (CIDEr-D clips for that reason, section 6), and that words of which the regression knows
nothing are left out.

R is how rare a caption's three rarest words are, so that of captions that agree as well and are as
likely, the one that says more comes first: the mean of log(pictures / pictures whose captions have
the word), where a caption of fewer words counts as if the others were in every caption. Left to the
other two, the order prefers words that fit most pictures.

The order of captions changes, never their log-probabilities.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from array_api_compat import array_namespace, device, is_numpy_array

from model.arrays import Array, argsort_descending, to_numpy
from model.bundle.read import Bundle
from model.captioning.expected_words import ExpectedWords, read_expected_words
from model.config import CaptionerConfig, ConsensusConfig
from model.decoding.hypothesis import Hypothesis, RankedHypothesis
from model.decoding.results import TracedArrays

__all__ = ["ConsensusReranker", "read_reranker"]

_TINY = 1e-12

# This many of a caption's words count for its rarity.
_RAREST = 3


class ConsensusReranker:
    """A reranker of captions by their agreement with the words that are expected of a picture.

    Args:
        words: those words.
        config: how agreement is weighed.
        vocabulary_size: of the captioner, whose token ids captions consist of.
    """

    def __init__(self, words: ExpectedWords, config: ConsensusConfig, vocabulary_size: int) -> None:
        self.words = words
        self.config = config
        columns = np.zeros(vocabulary_size, np.int64)
        columns[words.tokens] = np.arange(len(words.tokens))
        rarity = np.zeros(vocabulary_size, np.float32)  # a token without one counts for nothing
        rarity[words.tokens] = words.rarity
        self._rarity: list[float] = rarity.tolist()
        # An expected word's TF-IDF is its share times its rarity; both are linear in the features.
        weights = words.weights * (words.scales * words.rarity)  # (channels, words)
        self._arrays = weights, words.shares * words.rarity, rarity, columns
        self._placed: dict[object, tuple[Array, ...]] = {}  # those four, on each device

    def agreements(
        self, features: Array, captions: Sequence[Sequence[Sequence[int]]]
    ) -> list[list[float]]:
        """Return the agreement of every caption, 0 to 1.

        Args:
            features: of the pictures, the mean of the encoder's grid (batch, channels).
            captions: of each picture, token ids.
        """
        words = [[Counter(caption) for caption in each] for each in captions]
        most = max(map(len, words), default=0)
        longest = max((len(counted) for each in words for counted in each), default=0)
        tokens, counts = np.zeros((2, len(captions), most, longest), np.int64)
        for i, each in enumerate(words):
            for j, counted in enumerate(each):
                tokens[i, j, : len(counted)] = list(counted)
                counts[i, j, : len(counted)] = list(counted.values())
        xp, where = array_namespace(features), device(features)
        placed = (xp.asarray(part, device=where) for part in (tokens, counts))
        agreements = to_numpy(self._agree(features, *placed)).tolist()
        return [row[: len(each)] for row, each in zip(agreements, captions, strict=True)]

    def _agree(self, features: Array, tokens: Array, counts: Array) -> Array:
        """Return the agreement of every caption, 0 to 1: (batch, captions).

        Args:
            features: of the pictures, the mean of the encoder's grid (batch, channels).
            tokens: each of a caption's once, in any order (batch, captions, steps).
            counts: how often it is there; 0 fills up captions (batch, captions, steps).
        """
        xp = array_namespace(features)
        weights, constant, rarity, columns = self._on(features)
        features = xp.astype(features, xp.float32)
        expected = xp.clip(_product(features, weights) + constant, 0, None)  # (batch, words)
        lengths = xp.sqrt(xp.sum(expected * expected, axis=1))[:, None]  # (batch, 1)
        batch, captions, steps = tokens.shape
        places = xp.reshape(columns[tokens], (batch, captions * steps))
        theirs = xp.reshape(xp.take_along_axis(expected, places, axis=1), tokens.shape)
        ours = rarity[tokens] * counts
        # What is said counts once, however often it is repeated.
        shared = xp.sum(rarity[tokens] * theirs * (counts > 0), axis=-1)  # (batch, captions)
        own = xp.sqrt(xp.sum(ours * ours, axis=-1))
        return xp.clip(shared / xp.clip(own * lengths, _TINY, None), 0, 1)

    def rank(
        self, features: Array, found: Sequence[Sequence[Hypothesis]], *, reorder: bool = True
    ) -> list[list[RankedHypothesis]]:
        """Return the captions of every picture with their agreement, best first.

        Unfinished captions follow finished ones, as in the search.

        Args:
            features: of the pictures, the mean of the encoder's grid (batch, channels).
            found: captions of each picture, best first.
            reorder: whether agreement decides the order; otherwise it stays as it is.
        """
        captions = [[one.tokens for one in hypotheses] for hypotheses in found]
        ranked = [
            list(map(RankedHypothesis, hypotheses, agreements))
            for hypotheses, agreements in zip(
                found, self.agreements(features, captions), strict=True
            )
        ]
        if reorder:
            for best in ranked:
                best.sort(key=self._score, reverse=True)
        return ranked

    def rerank(self, grid: Array, traced: TracedArrays, *, reorder: bool) -> TracedArrays:
        """Do what `rank` does to arrays, and look at no value.

        Args:
            grid: of the pictures (batch, rows, columns, channels).
            traced: found by a search, best first.
            reorder: see `rank`.
        """
        xp = array_namespace(grid)
        tokens = traced.tokens
        same = tokens[..., :, None] == tokens[..., None, :]  # (batch, captions, steps, steps)
        is_first = ~xp.any(xp.tril(same, k=-1), axis=-1)
        counts = xp.sum(same, axis=-1) * is_first
        agreements = self._agree(xp.mean(grid, axis=(1, 2)), tokens, counts)
        traced = traced._replace(agreements=agreements)
        if not reorder:
            return traced
        lengths = xp.clip(traced.lengths, 1, None)
        mean_logprobs = xp.sum(traced.logprobs, axis=2) / lengths
        _, _, rarities, _ = self._on(grid)
        rarest = xp.sort(rarities[tokens] * (counts > 0), axis=-1)[..., -_RAREST:]
        scores = self.score(agreements, mean_logprobs, xp.sum(rarest, axis=-1) / _RAREST)
        # Finished ones first, and those that are not there last.
        classes = xp.astype(traced.finished, xp.float64) + (traced.lengths > 0)
        order = argsort_descending(scores + 1e6 * classes)  # (batch, captions)
        rows = xp.arange(order.shape[0], device=device(order))[:, None]
        return TracedArrays(*(part[rows, order] for part in traced))

    def rarity(self, tokens: Sequence[int]) -> float:
        """Return how rare a caption's three rarest words are, R above, in nats: 0 or more."""
        rarest = sorted([self._rarity[token] for token in set(tokens)])[-_RAREST:]
        return sum(rarest) / _RAREST

    def score(self, agreement: Any, mean_logprob: Any, rarity: Any) -> Any:
        """Return what captions are ranked by, of numbers or of arrays."""
        config = self.config
        return agreement + config.likelihood * mean_logprob + config.rarity * rarity

    def _score(self, ranked: RankedHypothesis) -> tuple[bool, float]:
        hypothesis = ranked.hypothesis
        mean_logprob = hypothesis.logprob / len(hypothesis.tokens)
        rarity = self.rarity(hypothesis.tokens)
        return hypothesis.finished, self.score(ranked.agreement or 0.0, mean_logprob, rarity)

    def _on(self, features: Array) -> tuple[Array, ...]:
        """Return its arrays on a device, where they stay: graphs refer to them."""
        xp, where = array_namespace(features), device(features)
        key = xp, where
        if key not in self._placed:
            placed = tuple(xp.asarray(each, device=where) for each in self._arrays)
            self._placed.setdefault(key, placed)  # another thread may have been faster
        return self._placed[key]


def read_reranker(
    bundle: Bundle[CaptionerConfig], channels: int, vocabulary_size: int
) -> ConsensusReranker | None:
    """Read a bundle's reranker; None if it has none.

    Args:
        bundle: read and checked.
        channels: of its encoder.
        vocabulary_size: of its vocabulary.

    Raises:
        BundleError: see `read_expected_words`.
    """
    if bundle.config.consensus is None:
        return None
    words = read_expected_words(bundle, channels, vocabulary_size)
    return ConsensusReranker(words, bundle.config.consensus, vocabulary_size)


def _product(features: Array, weights: Array) -> Array:
    """Return (batch, channels) @ (channels, words)."""
    if is_numpy_array(features) and len(features) == 1:
        # A sum rather than a matrix product: NumPy's are threaded, and its threads spin for a while
        # after, on a core that the next picture's encoder needs.
        return np.einsum("bc,cw->bw", features, weights)
    return features @ weights
