"""Compute BLEU-1 to BLEU-4 of a corpus, as coco-caption does, and BLEU-4 of one sentence.

Papineni et al. 2002, "BLEU: a Method for Automatic Evaluation of Machine Translation".
Captions come tokenised, by `model.evaluation.tokenizer`.
"""

import math
from collections import Counter
from collections.abc import Sequence

from model.evaluation.ngrams import Hypotheses, Ngram, References, check_pairs, count_ngrams

__all__ = ["MAX_ORDER", "bleu", "sentence_bleu"]

MAX_ORDER = 4

# coco-caption adds these so that nothing divides by zero; without them a score would be off by
# about 1e-10, and a corpus with no 4-gram in common would score 0 instead of almost 0.
_TINY, _SMALL = 1e-15, 1e-9


def bleu(hypotheses: Hypotheses, references: References) -> tuple[float, ...]:
    """Return BLEU-1, BLEU-2, BLEU-3 and BLEU-4 of a corpus, each 0 to 1.

    With p_n the clipped n-gram precision over the whole corpus (section 2.1.1), c the length of
    all hypotheses and r that of the references closest in length (section 2.2.2; the shorter one
    of two that are equally close):

        BLEU-N = min(1, exp(1 - r / c)) * (p_1 * ... * p_N) ** (1 / N)

    Args:
        hypotheses: one tokenised caption for each picture.
        references: one or more tokenised captions for each picture.

    Raises:
        ValueError: there are not as many captions as lists of references.
    """
    check_pairs(hypotheses, references)
    matched, proposed = [0] * MAX_ORDER, [0] * MAX_ORDER
    for hypothesis, captions in zip(hypotheses, references, strict=True):
        for index in range(MAX_ORDER):
            match, total = _clipped_matches(hypothesis, captions, index + 1)
            matched[index] += match
            proposed[index] += total

    length = sum(map(len, hypotheses))
    nearest = sum(map(_nearest_length, hypotheses, references))
    ratio = (length + _TINY) / (nearest + _SMALL)
    brevity_penalty = math.exp(min(0.0, 1 - 1 / ratio))
    precisions = [
        (match + _TINY) / (total + _SMALL) for match, total in zip(matched, proposed, strict=True)
    ]
    return tuple(
        brevity_penalty * math.prod(precisions[:order]) ** (1 / order)
        for order in range(1, MAX_ORDER + 1)
    )


def sentence_bleu(hypothesis: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Return BLEU-4 of one sentence, 0 to 1, smoothed as in Lin and Och 2004 ("ORANGE").

    One is added to the counts of all n-grams longer than a word, so that sentences without a
    4-gram in common with their references still differ in their score.

    Args:
        hypothesis: a tokenised caption.
        references: one or more tokenised captions of its picture.
    """
    product = 1.0
    for order in range(1, MAX_ORDER + 1):
        match, total = _clipped_matches(hypothesis, references, order)
        added = int(order > 1)
        if match + added == 0:
            return 0.0
        product *= (match + added) / (total + added)
    ratio = len(hypothesis) / _nearest_length(hypothesis, references)
    return math.exp(min(0.0, 1 - 1 / ratio)) * math.pow(product, 1 / MAX_ORDER)


def _clipped_matches(
    hypothesis: Sequence[str], captions: Sequence[Sequence[str]], order: int
) -> tuple[int, int]:
    """Count the hypothesis's n-grams that occur in a caption, and all of its n-grams."""
    counts = count_ngrams(hypothesis, order)
    allowed = _largest_counts(captions, order)
    return sum(min(count, allowed[gram]) for gram, count in counts.items()), counts.total()


def _largest_counts(captions: Sequence[Sequence[str]], length: int) -> Counter[Ngram]:
    largest: Counter[Ngram] = Counter()
    for caption in captions:
        largest |= count_ngrams(caption, length)
    return largest


def _nearest_length(hypothesis: Sequence[str], captions: Sequence[Sequence[str]]) -> int:
    return min((abs(len(caption) - len(hypothesis)), len(caption)) for caption in captions)[1]
