"""Compute ROUGE-L, from longest common subsequences, as coco-caption does.

Lin 2004, "ROUGE: A Package for Automatic Evaluation of Summaries", section 3.
"""

from collections.abc import Sequence

from model.evaluation.ngrams import Hypotheses, References, check_pairs

__all__ = ["longest_common_subsequence", "rouge_l"]

_BETA = 1.2


def rouge_l(hypotheses: Hypotheses, references: References) -> float:
    """Return the mean over pictures of ROUGE-L, 0 to 1.

    With P and R the longest common subsequence over the length of the hypothesis and of the
    reference (equations 2 to 4), each the best over the references:

        F = (1 + beta ** 2) * P * R / (R + beta ** 2 * P), beta = 1.2

    Args:
        hypotheses: one tokenised caption for each picture.
        references: one or more tokenised captions for each picture.

    Raises:
        ValueError: there are not as many captions as lists of references.
    """
    check_pairs(hypotheses, references)
    return sum(map(_rouge_l, hypotheses, references)) / len(hypotheses)


def _rouge_l(hypothesis: Sequence[str], captions: Sequence[Sequence[str]]) -> float:
    # coco-caption reads an empty caption as one empty word, which another empty caption shares.
    words = list(hypothesis) or [""]
    others = [list(caption) or [""] for caption in captions]
    common = [longest_common_subsequence(words, other) for other in others]
    precision = max(common) / len(words)
    recall = max(shared / len(other) for shared, other in zip(common, others, strict=True))
    if precision == 0:
        return 0.0
    return (1 + _BETA**2) * precision * recall / (recall + _BETA**2 * precision)


def longest_common_subsequence(first: Sequence[str], second: Sequence[str]) -> int:
    """Return the length of the longest sequence of tokens found in both in order, gaps allowed."""
    longest = [0] * (len(second) + 1)  # against each beginning of `second`
    for token in first:
        diagonal = 0
        for index, other in enumerate(second, start=1):
            above = longest[index]
            longest[index] = diagonal + 1 if token == other else max(above, longest[index - 1])
            diagonal = above
    return longest[-1]
