"""How varied and how well formed captions are, which scores against references do not show.

A model that copies its training captions or writes one safe sentence for all can score well.
Knows tokens only, and no grammar: what counts as badly formed is told by words alone.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from model.evaluation.ngrams import count_ngrams
from model.evaluation.tokenizer import tokenize

__all__ = ["Diversity", "Known", "ends_badly", "known_captions", "measure_diversity", "repeats"]

# No English caption ends with these, and captions that were cut off do. Words such as "up", "by"
# or "her" are not here: "a dog watches as a car drives by" is whole.
_UNFINISHED = """a an and are as at because for from his in into is its of on or that the their to
while with"""


Known = frozenset[tuple[str, ...]]


@dataclass(frozen=True)
class Diversity:
    """What a set of captions looks like; shares are 0 to 1.

    Attributes:
        copied: the share that are training captions word for word; None if those are not known.
        vocabulary: how many distinct words all captions use.
        distinct: how many captions differ from all others, each wording counted once.
        mean_length: in words.
        repeating: the share that say something twice, see `repeats`.
        ending_badly: the share that stop in the middle, see `ends_badly`.
    """

    copied: float | None
    vocabulary: int
    distinct: int
    mean_length: float
    repeating: float
    ending_badly: float


def known_captions(training_captions: Collection[str]) -> Known:
    """Cuts raw training captions into words, once for as many measurements as wanted."""
    cut = tokenize(list(training_captions), java=False).captions
    return frozenset(tuple(tokens) for tokens in cut)


def measure_diversity(captions: Sequence[str], known: Known | None = None) -> Diversity:
    """Measures raw captions; words are cut by our own tokenizer, Java or not.

    Args:
        captions: the captions that a model wrote.
        known: what it learnt from, by `known_captions`, to find copies.

    Raises:
        ValueError: there are no captions.
    """
    if not captions:
        raise ValueError("there are no captions to measure")
    cut = [tuple(tokens) for tokens in tokenize(captions, java=False).captions]
    return Diversity(
        copied=None if known is None else sum(tokens in known for tokens in cut) / len(cut),
        vocabulary=len({token for tokens in cut for token in tokens}),
        distinct=len(set(cut)),
        mean_length=sum(map(len, cut)) / len(cut),
        repeating=sum(map(repeats, cut)) / len(cut),
        ending_badly=sum(map(ends_badly, cut)) / len(cut),
    )


def repeats(tokens: Sequence[str]) -> bool:
    """Whether three words in a row come twice, or the same phrase stands on both sides of "and".

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
    """Whether a caption is empty or its last word is one that cannot end it, such as "the"."""
    return not tokens or tokens[-1] in _UNFINISHED.split()
