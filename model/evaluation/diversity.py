"""Measure how varied and how well formed captions are, which reference scores do not show.

A model that copies its training captions or writes one safe sentence for every picture can still
score well. There is no grammar here: words alone decide what counts as badly formed.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from model.captioning.word_kinds import is_open
from model.evaluation.ngrams import count_ngrams
from model.evaluation.tokenizer import tokenize

__all__ = ["Diversity", "Known", "ends_badly", "known_captions", "measure_diversity", "repeats"]


Known = frozenset[tuple[str, ...]]


@dataclass(frozen=True)
class Diversity:
    """The diversity of a set of captions; shares are 0 to 1.

    Attributes:
        copied: the share that are training captions word for word; None if these were not given.
        vocabulary: how many distinct words all captions use.
        distinct: how many different captions there are.
        mean_length: in words.
        repeating: the share that repeat themselves, see `repeats`.
        ending_badly: the share that stop in mid-sentence, see `ends_badly`.
    """

    copied: float | None
    vocabulary: int
    distinct: int
    mean_length: float
    repeating: float
    ending_badly: float


def known_captions(training_captions: Collection[str]) -> Known:
    """Tokenise raw training captions, for any number of measurements."""
    tokenized = tokenize(list(training_captions), java=False).captions
    return frozenset(tuple(tokens) for tokens in tokenized)


def measure_diversity(captions: Sequence[str], known: Known | None = None) -> Diversity:
    """Measure raw captions, always with the Python tokenizer.

    Args:
        captions: the captions that a model wrote.
        known: its training captions from `known_captions`, to find copies.

    Raises:
        ValueError: there are no captions.
    """
    if not captions:
        raise ValueError("there are no captions to measure")
    tokenized = [tuple(tokens) for tokens in tokenize(captions, java=False).captions]
    return Diversity(
        copied=None
        if known is None
        else sum(tokens in known for tokens in tokenized) / len(tokenized),
        vocabulary=len({token for tokens in tokenized for token in tokens}),
        distinct=len(set(tokenized)),
        mean_length=sum(map(len, tokenized)) / len(tokenized),
        repeating=sum(map(repeats, tokenized)) / len(tokenized),
        ending_badly=sum(map(ends_badly, tokenized)) / len(tokenized),
    )


def repeats(tokens: Sequence[str]) -> bool:
    """Check whether a trigram occurs twice, or "and" joins a phrase with itself.

    "a dog and a dog" repeats itself; "a man in a red shirt and a woman in a red hat" does, too.
    """
    if any(count > 1 for count in count_ngrams(tokens, 3).values()):
        return True
    return any(
        tuple(tokens[place - length : place]) == tuple(tokens[place + 1 : place + 1 + length])
        for place, token in enumerate(tokens)
        if token == "and"  # noqa: S105 - a word, not a secret
        for length in range(1, place + 1)
    )


def ends_badly(tokens: Sequence[str]) -> bool:
    """Check whether a caption is empty or ends with a word that cannot end it, such as "the"."""
    return not tokens or is_open(tokens[-1])
