"""Which of the captions that a beam finds agrees with what people say of pictures that look alike.

    score = agreement + likelihood x mean_logprob

Consensus reranking (Devlin et al. 2015, "Exploring Nearest Neighbor Approaches for Image
Captioning"; Mao et al. 2015, section 8, which orders an m-RNN's captions so). Of a picture that is
unlike those it learned from, the likeliest caption is often a bold guess; one that would be true of
pictures that look alike is more often right. `agreement` is the mean over n = 1 to 4 of the cosine
between a caption's TF-IDF vector of n-grams and those of what people said (CIDEr, Vedantam et al.
2015, equation 2), but that saying an n-gram twice wins nothing (which CIDEr-D sees to by clipping,
section 6). It is linear in the latter, so that their mean is all that is needed.

Changes the order of captions, never their log-probabilities. Knows features as vectors and
captions as token ids; does not know how captions are found.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.arrays import Array, largest, to_numpy
from model.bundle.read import Bundle
from model.captioning.neighbours import MAX_ORDER, NeighbourIndex, count_ngrams, read_neighbours
from model.config import CaptionerConfig, ConsensusConfig
from model.decoding.beam_search import Hypothesis

__all__ = ["ConsensusReranker", "Ranked", "read_reranker"]


class Ranked(NamedTuple):
    """A caption that was found, and its agreement, 0 to 1; None without a consensus."""

    hypothesis: Hypothesis
    agreement: float | None = None


class ConsensusReranker:
    """Says how far captions agree with what people said of the pictures that look most alike.

    Args:
        known: those pictures.
        config: how many of them count, and how.
        vocabulary_size: of the captioner, whose token ids the n-grams are of.
    """

    def __init__(
        self, known: NeighbourIndex, config: ConsensusConfig, vocabulary_size: int
    ) -> None:
        self.known = known
        self.config = config
        self._vocabulary_size = vocabulary_size
        self._mean = known.mean.astype(np.float32)
        self._basis = known.basis.astype(np.float32)
        self._pictures = _unit(known.pictures.astype(np.float32))
        self._columns = {key: column for column, key in enumerate(known.ngrams.tolist())}
        self._rarity: list[float] = known.rarity.tolist()
        self._unseen = float(known.unseen[0])
        self._weights = known.weights.astype(np.float32)

    def agreements(
        self, features: Array, captions: Sequence[Sequence[Sequence[int]]]
    ) -> list[list[float]]:
        """Give the agreement of every caption, 0 to 1.

        Args:
            features: of the pictures, the mean of the encoder's grid (batch, channels).
            captions: of each picture, token ids; special ones are left out of account.
        """
        centred = to_numpy(features).astype(np.float32) - self._mean
        # Sums over indices rather than matrix products: NumPy's are threaded, and its threads
        # spin for a while after, on a core that the next picture's encoder needs.
        axes = _unit(np.einsum("bc,cd->bd", centred, self._basis))  # (batch, dimensions)
        cosines = np.einsum("bd,pd->bp", axes, self._pictures)  # (batch, pictures)
        similar, nearest = largest(cosines, min(self.config.neighbours, cosines.shape[1]))
        scaled = similar / self.config.temperature
        shares = np.exp(scaled - scaled[:, :1])
        shares /= shares.sum(1, keepdims=True)
        return [
            self._agreements(pictures, weights, own)
            for pictures, weights, own in zip(nearest.tolist(), shares, captions, strict=True)
        ]

    def rank(
        self, features: Array, found: Sequence[Sequence[Hypothesis]], *, reorder: bool = True
    ) -> list[list[Ranked]]:
        """Give the captions of each picture their agreement, and their order.

        Args:
            features: see `agreements`.
            found: by a search, best first.
            reorder: whether to put the finished ones into the order of their scores, and the
                others after them likewise.
        """
        captions = [[hypothesis.tokens for hypothesis in hypotheses] for hypotheses in found]
        ranked = [
            list(map(Ranked, hypotheses, agreements))
            for hypotheses, agreements in zip(
                found, self.agreements(features, captions), strict=True
            )
        ]
        if reorder:
            for best in ranked:
                best.sort(key=self._score, reverse=True)
        return ranked

    def _score(self, ranked: Ranked) -> tuple[bool, float]:
        hypothesis, agreement = ranked
        mean_logprob = hypothesis.logprob / len(hypothesis.tokens)
        score = (agreement or 0.0) + self.config.likelihood * mean_logprob
        return hypothesis.finished, score

    def _agreements(
        self, pictures: Sequence[int], shares: NDArray[Any], captions: Sequence[Sequence[int]]
    ) -> list[float]:
        """Compare the captions of one picture with what was said of others, by their shares."""
        spans = [slice(*self.known.starts[picture : picture + 2]) for picture in pictures]
        said = np.bincount(
            np.concatenate([self.known.columns[span] for span in spans]),
            np.concatenate(
                [share * self._weights[span] for share, span in zip(shares, spans, strict=True)]
            ),
            minlength=len(self._rarity),
        )  # (ngrams,)
        return [self._cosine(caption, said) for caption in captions]

    def _cosine(self, caption: Sequence[int], said: NDArray[Any]) -> float:
        total = 0.0
        for counts in count_ngrams(caption, self._vocabulary_size):
            square = shared = 0.0
            for key, count in counts.items():
                column = self._columns.get(key)
                rarity = self._unseen if column is None else self._rarity[column]
                square += (count * rarity) ** 2
                if column is not None:
                    shared += rarity * said[column]  # once, however often it is repeated
            if square > 0:
                total += shared / math.sqrt(square)
        return float(total / MAX_ORDER)


def read_reranker(
    bundle: Bundle[CaptionerConfig], channels: int, vocabulary_size: int
) -> ConsensusReranker | None:
    """Read a bundle's consensus; None where it has none.

    Args:
        bundle: read and checked.
        channels: of its encoder.
        vocabulary_size: of its vocabulary.

    Raises:
        BundleError: see `read_neighbours`.
    """
    if bundle.config.consensus is None:
        return None
    known = read_neighbours(bundle, channels)
    return ConsensusReranker(known, bundle.config.consensus, vocabulary_size)


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))[:, None]
    unit: NDArray[np.float32] = vectors / np.maximum(lengths, np.float32(1e-12))
    return unit
