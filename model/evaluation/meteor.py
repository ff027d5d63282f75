"""Compute METEOR 1.5, with its authors' Java program aligning the words.

Denkowski and Lavie 2014, "Meteor Universal: Language Specific Translation Evaluation for Any
Target Language", section 2. Its paraphrase table and synonyms are the metric, so it cannot be
rewritten in a few lines: without Java there is no METEOR.
"""

from collections.abc import Sequence
from typing import Final

from model.evaluation import java as jars
from model.evaluation.ngrams import Hypotheses, References, check_pairs

__all__ = ["NAME", "meteor"]

NAME: Final = "METEOR 1.5 (Java)"

# The paper's parameters for English; its weights of exact, stem, synonym and paraphrase matches.
_ALPHA, _BETA, _GAMMA, _DELTA = 0.85, 0.2, 0.6, 0.75
_WEIGHTS = (1.0, 0.6, 0.8, 0.6)

_SEPARATOR = "|||"

# Where the program's line of counts has them: see `_score`.
_CHUNKS, _MATCHED = 20, slice(21, 23)


def meteor(
    hypotheses: Hypotheses, references: References, *, java: bool | None = None
) -> float | None:
    """Return METEOR of a corpus, 0 to 1, in English; None where it cannot be computed.

    Args:
        hypotheses: one tokenised caption for each picture.
        references: one or more tokenised captions for each picture.
        java: whether to compute it; None does so if Java and the jar are installed.

    Raises:
        ValueError: hypotheses and references do not pair up.
        JavaError: `java` is True and Java or the jar is missing, or Java failed.
    """
    check_pairs(hypotheses, references)
    if java is None:
        java = jars.find(jars.METEOR) is not None
    return _score(_align(hypotheses, references)) if java else None


def _align(hypotheses: Hypotheses, references: References) -> list[float]:
    """Align each caption with its best reference, and sum the counts over the corpus."""
    questions = [
        f" {_SEPARATOR} ".join(["SCORE", *map(_sentence, [*captions, hypothesis])])
        for hypothesis, captions in zip(hypotheses, references, strict=True)
    ]
    options = ("Meteor", "-", "-", "-stdio", "-l", "en", "-norm")
    printed = jars.run(
        (*jars.command(jars.METEOR, memory="2g"), *options),
        "".join(f"{question}\n" for question in questions),
        timeout=120 + len(questions) / 10,
    )
    answers = [[float(count) for count in line.split()] for line in printed.splitlines()]
    if len(answers) != len(questions):
        raise jars.JavaError(f"METEOR gave {len(answers)} answers to {len(questions)} questions")
    for counts in answers:
        # The program forgives the one chunk of a caption that matches its reference word for word.
        if counts[_CHUNKS] == 1 and counts[_MATCHED] == counts[:2]:
            counts[_CHUNKS] = 0
    return [sum(counts) for counts in zip(*answers, strict=True)]


def _sentence(tokens: Sequence[str]) -> str:
    return " ".join(token for token in tokens if _SEPARATOR not in token)


def _score(counts: Sequence[float]) -> float:
    """Return the score of summed counts: (1 - Pen) * F_mean, section 2.2.

    Args:
        counts: words of the hypothesis and of the reference, function words of each; for each
            kind of match the content words of each, then the function words of each; chunks; and
            matched words of each.
    """
    words, function_words, matched = counts[0:2], counts[2:4], counts[_MATCHED]
    if min(*words, *matched) == 0:
        return 0.0
    precision, recall = (
        sum(
            weight * _blend(counts[4 + 4 * kind + side], counts[6 + 4 * kind + side])
            for kind, weight in enumerate(_WEIGHTS)
        )
        / _blend(words[side] - function_words[side], function_words[side])
        for side in (0, 1)
    )
    f_mean = precision * recall / (_ALPHA * precision + (1 - _ALPHA) * recall)
    fragmentation = counts[_CHUNKS] / (sum(matched) / 2)
    penalty: float = _GAMMA * fragmentation**_BETA
    return (1 - penalty) * f_mean


def _blend(content: float, function: float) -> float:
    return _DELTA * content + (1 - _DELTA) * function
