"""Compute CIDEr-D, which coco-caption prints as CIDEr, and plain CIDEr.

Vedantam et al. 2015, "CIDEr: Consensus-based Image Description Evaluation". Words
are not stemmed, as in coco-caption.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Self

from model.evaluation.ngrams import Hypotheses, Ngram, References, check_pairs, count_ngrams

__all__ = ["Cider", "DocumentFrequencies", "TfIdf", "Variant", "cider_each"]

MAX_ORDER = 4

_SIGMA = 6.0  # tokens: the width of CIDEr-D's penalty for a difference in length

Variant = Literal["CIDEr-D", "CIDEr"]


@dataclass(frozen=True)
class DocumentFrequencies:
    """For each n-gram, how many of `pictures` pictures have it in their references."""

    counts: Mapping[Ngram, int]
    pictures: int

    @classmethod
    def of(cls, references: Iterable[Sequence[Sequence[str]]]) -> Self:
        """Count the pictures whose references contain each n-gram."""
        counts: Counter[Ngram] = Counter()
        pictures = 0
        for captions in references:
            pictures += 1
            counts.update(
                {
                    gram
                    for caption in captions
                    for order in range(1, MAX_ORDER + 1)
                    for gram in count_ngrams(caption, order)
                }
            )
        return cls(counts, pictures)


@dataclass(frozen=True)
class TfIdf:
    """A caption as TF-IDF vectors, one for each n-gram length, their norms, and its words."""

    weights: tuple[dict[Ngram, float], ...]
    norms: tuple[float, ...]
    length: int


class Cider:
    """The similarity of captions by their TF-IDF vectors.

    Args:
        frequencies: of the n-grams in a corpus of references.
        variant: `CIDEr-D` clips the weights of a hypothesis to those of the reference, and
            penalises a difference in length; `CIDEr` is the mean cosine alone. Both are scaled by
            10, as papers print CIDEr-D.
    """

    def __init__(
        self,
        frequencies: DocumentFrequencies,
        *,
        variant: Variant = "CIDEr-D",
    ) -> None:
        self._clip = variant == "CIDEr-D"
        self._sigma = _SIGMA if self._clip else math.inf
        log_pictures = math.log(max(1, frequencies.pictures))
        self._unseen = log_pictures
        self._idf = {
            gram: log_pictures - math.log(count) for gram, count in frequencies.counts.items()
        }

    def vector(self, tokens: Sequence[str]) -> TfIdf:
        """Return the TF-IDF vectors of a caption: equation 1, with counts as term frequencies."""
        weights = tuple(
            {
                gram: count * self._idf.get(gram, self._unseen)
                for gram, count in count_ngrams(tokens, order).items()
            }
            for order in range(1, MAX_ORDER + 1)
        )
        norms = tuple(math.hypot(*vector.values()) for vector in weights)
        return TfIdf(weights, norms, len(tokens))

    def similarity(self, hypothesis: TfIdf, references: Sequence[TfIdf]) -> float:
        """Return a caption's similarity to the references of its picture, 0 to 10.

        Equations 2 to 4. Compute the vectors of references once if they are compared often.
        """
        total = sum(self._similarity(hypothesis, reference) for reference in references)
        return 10 * total / (MAX_ORDER * len(references))

    def _similarity(self, hypothesis: TfIdf, reference: TfIdf) -> float:
        cosines = 0.0
        for ours, theirs, norm in zip(
            hypothesis.weights,
            reference.weights,
            map(float.__mul__, hypothesis.norms, reference.norms),
            strict=True,
        ):
            if norm > 0:
                shared = ((ours[gram], theirs[gram]) for gram in ours.keys() & theirs.keys())
                if self._clip:
                    shared = ((min(pair), pair[1]) for pair in shared)
                cosines += sum(our * their for our, their in shared) / norm
        difference = hypothesis.length - reference.length
        return cosines * math.exp(-(difference**2) / (2 * self._sigma**2))


def cider_each(
    hypotheses: Hypotheses,
    references: References,
    *,
    frequencies: DocumentFrequencies | None = None,
) -> list[float]:
    """Return the CIDEr-D of each picture's caption, 0 to 10.

    Args:
        hypotheses: one tokenised caption for each picture.
        references: one or more tokenised captions for each picture.
        frequencies: document frequencies of some other corpus, such as the training set; None
            takes those of `references`, as coco-caption does.

    Raises:
        ValueError: hypotheses and references do not pair up.
    """
    check_pairs(hypotheses, references)
    metric = Cider(frequencies or DocumentFrequencies.of(references))
    return [
        metric.similarity(metric.vector(hypothesis), [metric.vector(other) for other in captions])
        for hypothesis, captions in zip(hypotheses, references, strict=True)
    ]
