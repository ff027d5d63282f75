"""CIDEr-D, which coco-caption prints as CIDEr, and the plain CIDEr it was made from.

Vedantam et al. 2015, "CIDEr: Consensus-based Image Description Evaluation". Knows tokens only.
No word is stemmed, as in coco-caption.
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
    """In the references of how many of `pictures` pictures each n-gram occurs."""

    counts: Mapping[Ngram, int]
    pictures: int

    @classmethod
    def of(cls, references: Iterable[Sequence[Sequence[str]]]) -> Self:
        """Counts the n-grams in the references of each picture, an n-gram once for a picture."""
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
    """Compares captions by their TF-IDF vectors.

    Args:
        frequencies: of the n-grams in a corpus of references.
        variant: `CIDEr-D` clips the weights of a hypothesis at those of the reference, and
            punishes a difference in length; `CIDEr` is the mean cosine alone. Both are scaled by
            10, as papers print the first.
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
        """The TF-IDF vectors of a caption: equation 1, with counts for term frequencies."""
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
        """How near a caption is to the references of its picture, 0 to 10: equations 2 to 4.

        Vectors of references that are compared often are best made once and kept.
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
    """CIDEr of each picture's caption, 0 to 10.

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
