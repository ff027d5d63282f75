"""Count the n-grams of tokenised captions, and check that captions pair up with references."""

from collections import Counter
from collections.abc import Sequence

__all__ = ["Hypotheses", "Ngram", "References", "check_pairs", "count_ngrams"]

Ngram = tuple[str, ...]
Hypotheses = Sequence[Sequence[str]]
References = Sequence[Sequence[Sequence[str]]]


def count_ngrams(tokens: Sequence[str], length: int) -> Counter[Ngram]:
    """Count how often each n-gram of exactly `length` tokens occurs."""
    return Counter(zip(*(tokens[start:] for start in range(length)), strict=False))


def check_pairs(hypotheses: Sequence[object], references: Sequence[Sequence[object]]) -> None:
    """Check that every hypothesis has references.

    Raises:
        ValueError: no hypotheses, not as many as lists of references, or an empty list.
    """
    if not hypotheses:
        raise ValueError("there are no captions to score")
    if len(hypotheses) != len(references):
        raise ValueError(
            f"{len(hypotheses)} captions cannot be scored against "
            f"the references of {len(references)} pictures"
        )
    if not all(references):
        raise ValueError("a picture has no reference captions")
