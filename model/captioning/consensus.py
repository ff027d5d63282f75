"""Rerank the captions of a beam by agreement with captions of similar pictures.

    score = agreement + likelihood x mean_logprob

Consensus reranking (Devlin et al. 2015, "Exploring Nearest Neighbor Approaches for Image
Captioning"; Mao et al. 2015, section 8, order an m-RNN's captions so). For a picture unlike those
it was trained on, the likeliest caption is often a bold guess; one that would also be true of
similar pictures is more often right. `agreement` is the mean over n = 1 to 4 of the cosine between
a caption's TF-IDF vector of n-grams and those of the captions of similar pictures (CIDEr, Vedantam
et al. 2015, equation 2), except that repeating an n-gram gains nothing (CIDEr-D clips for that
reason, section 6). It is linear in the latter, so their mean is all that is needed.

The order of captions changes, never their log-probabilities.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from array_api_compat import array_namespace, device, is_numpy_array
from numpy.typing import NDArray

from model.arrays import Array, to_numpy, top_k
from model.bundle.read import Bundle
from model.captioning.neighbours import MAX_ORDER, NeighbourIndex, count_ngrams, read_neighbours
from model.config import CaptionerConfig, ConsensusConfig
from model.decoding.hypothesis import Hypothesis, RankedHypothesis

if TYPE_CHECKING:
    from model.captioning.batch_consensus import BatchReranker

__all__ = ["ConsensusReranker", "read_reranker"]


class ConsensusReranker:
    """A reranker of captions by agreement with people's captions of similar pictures.

    Args:
        index: those pictures.
        config: how many of them count, and how.
        vocabulary_size: of the captioner, whose token ids the n-grams are of.
    """

    def __init__(
        self, index: NeighbourIndex, config: ConsensusConfig, vocabulary_size: int
    ) -> None:
        self.index = index
        self.config = config
        self._vocabulary_size = vocabulary_size
        self._mean = index.mean.astype(np.float32)
        self._basis = index.basis.astype(np.float32)
        self._pictures = _unit(index.pictures.astype(np.float32))
        self._placed: tuple[Any, tuple[Array, ...]] | None = None  # those three, on a device
        self._batched: tuple[str, BatchReranker] | None = None
        self._keys = np.append(index.ngrams, -1)  # so that there is one after the last
        self._rarity = np.append(index.rarity, 0).astype(np.float64)
        self._weights = index.weights.astype(np.float32)

    def agreements(
        self, features: Array, captions: Sequence[Sequence[Sequence[int]]]
    ) -> list[list[float]]:
        """Return the agreement of every caption, 0 to 1.

        Args:
            features: of the pictures, the mean of the encoder's grid (batch, channels).
            captions: of each picture, token ids; special tokens are ignored.
        """
        similar, nearest = self._nearest(features)
        scaled = similar / self.config.temperature
        shares = np.exp(scaled - scaled[:, :1])
        shares /= shares.sum(1, keepdims=True)
        flat = [caption for sentences in captions for caption in sentences]
        ends = np.cumsum([0, *map(len, captions)])  # captions before each picture, and all
        ngrams = count_ngrams(flat, self._vocabulary_size)
        columns = np.searchsorted(self.index.ngrams, ngrams.keys)
        known = self._keys[columns] == ngrams.keys
        rarity = np.where(known, self._rarity[columns], self.index.unseen)
        starts = np.searchsorted(ngrams.captions, ends)
        said = self._said(nearest, shares, columns, starts)
        # Sums by caption and order. What is said counts once, however often it is repeated.
        place, size = ngrams.captions * MAX_ORDER + ngrams.orders, len(flat) * MAX_ORDER
        shared = np.bincount(place, np.where(known, rarity * said, 0), minlength=size)
        lengths = np.sqrt(np.bincount(place, (ngrams.counts * rarity) ** 2, minlength=size))
        cosines = np.divide(shared, lengths, out=np.zeros(size), where=lengths > 0)
        agreements = cosines.reshape(-1, MAX_ORDER).mean(1).tolist()
        return [agreements[ends[i] : ends[i + 1]] for i in range(len(captions))]

    def batched(self, where: str) -> BatchReranker:
        """Return what does the same to the arrays of a PyTorch device."""
        if self._batched is None or self._batched[0] != where:
            from model.captioning.batch_consensus import (  # noqa: PLC0415 - imports PyTorch
                BatchReranker,
            )

            self._batched = (
                where,
                BatchReranker(self.index, self.config, self._vocabulary_size, where),
            )
        return self._batched[1]

    def rank(
        self, features: Array, found: Sequence[Sequence[Hypothesis]], *, reorder: bool = True
    ) -> list[list[RankedHypothesis]]:
        """Return the hypotheses of each picture with their agreement, reranked if asked for.

        Args:
            features: see `agreements`.
            found: by a search, best first.
            reorder: whether to put the finished ones into the order of their scores, and the
                others after them likewise.
        """
        captions = [[hypothesis.tokens for hypothesis in hypotheses] for hypotheses in found]
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

    def score(self, agreement: float, mean_logprob: float) -> float:
        """Return what captions are ranked by."""
        return agreement + self.config.likelihood * mean_logprob

    def _score(self, ranked: RankedHypothesis) -> tuple[bool, float]:
        hypothesis = ranked.hypothesis
        mean_logprob = hypothesis.logprob / len(hypothesis.tokens)
        return hypothesis.finished, self.score(ranked.agreement or 0.0, mean_logprob)

    def _nearest(self, features: Array) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return cosines and indices of the nearest pictures, each (batch, neighbours)."""
        count = min(self.config.neighbours, len(self._pictures))
        if is_numpy_array(features):
            # Sums over indices rather than matrix products: NumPy's are threaded, and its threads
            # spin for a while after, on a core that the next picture's encoder needs.
            centred = features.astype(np.float32) - self._mean
            axes = _unit(np.einsum("bc,cd->bd", centred, self._basis))  # (batch, dimensions)
            return top_k(np.einsum("bd,pd->bp", axes, self._pictures), count)
        xp, where = array_namespace(features), device(features)
        if self._placed is None or self._placed[0] != where:
            arrays = (self._mean, self._basis, self._pictures.T)
            self._placed = where, tuple(xp.asarray(array, device=where) for array in arrays)
        mean, basis, pictures = self._placed[1]
        axes = (xp.astype(features, xp.float32) - mean) @ basis
        lengths = xp.sqrt(xp.sum(axes * axes, axis=1, keepdims=True))
        similar, nearest = top_k(axes / xp.clip(lengths, 1e-12, None) @ pictures, count)
        return to_numpy(similar), to_numpy(nearest)

    def _said(
        self,
        nearest: NDArray[np.int64],
        shares: NDArray[np.float32],
        columns: NDArray[np.int64],
        starts: NDArray[np.int64],
    ) -> NDArray[np.float64]:
        """Return how much the captions of similar pictures have of n-grams: (ngrams,).

        Args:
            nearest, shares: the similar pictures of each, and their weights (batch, neighbours).
            columns: of the n-grams in the index (ngrams,).
            starts: where those of each picture begin, and their end (batch + 1,).
        """
        first, end = self.index.starts[nearest], self.index.starts[nearest + 1]
        lengths = (end - first).ravel()  # entries of each neighbour (batch * neighbours,)
        ends = lengths.cumsum()
        entries = np.arange(lengths.sum()) + np.repeat(first.ravel() - (ends - lengths), lengths)
        weights = self._weights[entries] * np.repeat(shares.ravel(), lengths)
        bounds = [0, *ends.reshape(nearest.shape)[:, -1]]
        said = np.empty(len(columns))
        for i in range(len(nearest)):
            own, mine = slice(bounds[i], bounds[i + 1]), slice(starts[i], starts[i + 1])
            sums = np.bincount(
                self.index.columns[entries[own]], weights[own], minlength=len(self._keys)
            )
            said[mine] = sums[columns[mine]]
        return said


def read_reranker(
    bundle: Bundle[CaptionerConfig], channels: int, vocabulary_size: int
) -> ConsensusReranker | None:
    """Read a bundle's reranker; None if it has none.

    Args:
        bundle: read and checked.
        channels: of its encoder.
        vocabulary_size: of its vocabulary.

    Raises:
        BundleError: see `read_neighbours`.
    """
    if bundle.config.consensus is None:
        return None
    index = read_neighbours(bundle, channels)
    return ConsensusReranker(index, bundle.config.consensus, vocabulary_size)


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))[:, None]
    unit: NDArray[np.float32] = vectors / np.maximum(lengths, np.float32(1e-12))
    return unit
