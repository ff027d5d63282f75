"""Measure tags against the words of people's captions."""

from collections.abc import Sequence
from dataclasses import dataclass

from model.captioning.tags import LEAST_PROBABILITY, Tag
from model.captioning.word_kinds import WordKind
from model.vocabulary import split

__all__ = ["PEOPLE", "TagThreshold", "measure_tags", "said_words"]

PEOPLE = 5  # whose captions count: probabilities are of what one of five people says

_THRESHOLDS = (LEAST_PROBABILITY, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


@dataclass(frozen=True)
class TagThreshold:
    """What is left of tags if those with a lower probability are dropped.

    Attributes:
        kind: noun, verb or other; None: all together.
        min_probability: the threshold, 0 to 1.
        per_picture: tags a picture, on average.
        probability: their mean probability; None without tags.
        precision: the share of tags that a person's caption of the picture says; None without tags.
    """

    kind: WordKind | None
    min_probability: float
    per_picture: float
    probability: float | None
    precision: float | None


def said_words(captions: Sequence[str]) -> set[str]:
    """Return the words that the first five captions of a picture say."""
    return {word for text in captions[:PEOPLE] for word in split(text, "word")}


def measure_tags(
    tags: Sequence[Sequence[Tag]], captions: Sequence[Sequence[str]]
) -> tuple[TagThreshold, ...]:
    """Compare the tags of pictures with people's captions, at each threshold, kind by kind.

    Args:
        tags: of each picture.
        captions: people's, of each picture.
    """
    judged = [
        (tag, tag.word in said)
        for found, texts in zip(tags, captions, strict=True)
        for said in (said_words(texts),)
        for tag in found
    ]
    kinds: tuple[WordKind | None, ...] = (None, "noun", "verb", "other")
    measured = []
    for kind in kinds:
        for threshold in _THRESHOLDS:
            kept = [
                (tag.probability, is_said)
                for tag, is_said in judged
                if kind in {None, tag.kind} and tag.probability >= threshold
            ]
            count = len(kept)
            measured.append(
                TagThreshold(
                    kind,
                    threshold,
                    count / len(tags),
                    sum(probability for probability, _ in kept) / count if count else None,
                    sum(is_said for _, is_said in kept) / count if count else None,
                )
            )
    return tuple(measured)
