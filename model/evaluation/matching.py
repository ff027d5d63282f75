"""How well a captioner tells a sentence about a picture from one about another picture.

Every caption that people wrote of a picture is compared with it, and as many captions of other
pictures, drawn at random. The area under the ROC curve (AUC) is the chance that one of the former
gets a higher number than one of the latter: 0.5 by guessing, 1 at best.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.captioning.matching import COEFFICIENTS, FEATURES, INTERCEPT, Matcher
from model.data.karpathy import CaptionDataset

__all__ = ["Comparison", "Fit", "auc", "chances", "compare", "fit", "join", "pick_wrong", "report"]

Floats = NDArray[np.float64]

_BATCH = 10  # pictures
_MAX_STEPS = 50


@dataclass(frozen=True)
class Comparison:
    """Texts compared with pictures.

    Attributes:
        features: of each text, see `model.captioning.matching.FEATURES` (texts, features).
        right: whether it is of the picture (texts,).
    """

    features: Floats
    right: NDArray[np.bool_]


@dataclass(frozen=True)
class Fit:
    """A logistic regression: chance = sigmoid(intercept + features x coefficients)."""

    intercept: float
    coefficients: tuple[float, ...]

    def scores(self, features: Floats) -> Floats:
        """Return the log-odds of each text: (texts, features) -> (texts,)."""
        scores: Floats = self.intercept + features @ np.asarray(self.coefficients)
        return scores


def compare(
    matcher: Matcher, data: CaptionDataset, split: str, *, most: int | None = None, seed: int = 0
) -> Iterator[Comparison]:
    """Compare each picture of a split, or the first `most`, with its captions and with others.

    Raises:
        ValueError: the set has no such split, or it has one picture only.
        OSError: a picture cannot be read.
    """
    entries = data.split(split)[:most]
    generator = np.random.default_rng(seed)
    captions = [entry.captions for entry in entries]
    for start in range(0, len(entries), _BATCH):
        batch = entries[start : start + _BATCH]
        wrong = [pick_wrong(captions, start + place, generator) for place in range(len(batch))]
        pixels = matcher.captioner.prepare([data.picture(entry) for entry in batch])
        texts = [[*entry.captions, *more] for entry, more in zip(batch, wrong, strict=True)]
        compared = matcher.compare(matcher.captioner.encode(pixels), texts)
        for entry, found in zip(batch, compared, strict=True):
            yield Comparison(
                np.array([evidence.features for evidence in found]),
                np.arange(len(found)) < len(entry.captions),
            )


def pick_wrong(
    captions: Sequence[Sequence[str]], place: int, generator: np.random.Generator
) -> list[str]:
    """Draw as many captions of other pictures as one picture has, each of another picture.

    Raises:
        ValueError: there are too few pictures.
    """
    count = len(captions[place])
    if len(captions) <= count:
        raise ValueError(f"{len(captions)} pictures are too few to compare: at least {count + 1}")
    others = generator.choice(len(captions) - 1, count, replace=False)
    chosen = [captions[other + (other >= place)] for other in others.tolist()]
    return [each[int(generator.integers(len(each)))] for each in chosen]


def auc(numbers: Floats, right: NDArray[np.bool_]) -> float:
    """Return the area under the ROC curve; of equal numbers each comes first half the time."""
    _, ranks, counts = np.unique(numbers, return_inverse=True, return_counts=True)
    mean_rank = np.cumsum(counts) - (counts - 1) / 2  # from 1, of each distinct number
    positive, negative = int(right.sum()), int((~right).sum())
    above = mean_rank[ranks][right].sum() - positive * (positive + 1) / 2
    return float(above / (positive * negative))


def fit(comparison: Comparison) -> Fit:
    """Fit a logistic regression on the features of the chance, by Newton's method."""
    features = comparison.features[:, [FEATURES.index(name) for name in COEFFICIENTS]]
    mean, scale = features.mean(0), features.std(0)
    inputs = np.column_stack([np.ones(len(comparison.right)), (features - mean) / scale])
    weights = np.zeros(inputs.shape[1])
    for _ in range(_MAX_STEPS):
        expected = 0.5 * (1 + np.tanh(inputs @ weights / 2))
        gradient = inputs.T @ (comparison.right - expected)
        curvature = (inputs * (expected * (1 - expected))[:, None]).T @ inputs
        step = np.linalg.solve(curvature + 1e-6 * np.eye(len(weights)), gradient)
        weights = weights + step
        if np.abs(step).max() < 1e-8:
            break
    coefficients = weights[1:] / scale
    return Fit(float(weights[0] - coefficients @ mean), tuple(map(float, coefficients)))


def join(parts: Iterable[Comparison]) -> Comparison:
    """Put comparisons together."""
    every = list(parts)
    return Comparison(
        np.concatenate([each.features for each in every]),
        np.concatenate([each.right for each in every]),
    )


def chances(features: Floats, fitted: Fit | None = None) -> Floats:
    """Return the chance of each text: (texts, features) -> (texts,), 0 to 1.

    `fitted` is by default the one that `model.captioning.matching.estimate_match` uses.
    """
    fitted = fitted or Fit(INTERCEPT, tuple(COEFFICIENTS.values()))
    chosen: Floats = features[:, [FEATURES.index(name) for name in COEFFICIENTS]]
    found: Floats = 0.5 * (1 + np.tanh(fitted.scores(chosen) / 2))
    return found


def report(comparison: Comparison, thresholds: Sequence[float] = (0.1, 0.3, 0.5)) -> str:
    """Write tables in Markdown: the AUC of each signal and of the chance, and what is flagged."""
    features, right = comparison.features, comparison.right
    found = chances(features)
    lines = ["| signal | AUC |", "|---|---:|"]
    lines += [
        f"| {name.replace('_', ' ')} | {auc(features[:, place], right):.3f} |"
        for place, name in enumerate(FEATURES)
    ]
    together = " and ".join(name.replace("_", " ") for name in COEFFICIENTS)
    lines += [f"| chance ({together}) | {auc(found, right):.3f} |", ""]
    lines += ["| listed below | of the wrong | of the right |", "|---:|---:|---:|"]
    lines += [
        f"| {least} | {(found[~right] < least).mean():.1%} | {(found[right] < least).mean():.1%} |"
        for least in thresholds
    ]
    return "\n".join(lines)
