"""Fit the probability that a caption is good to captions of known quality.

Logistic regression, by Newton's method, on the few features of a caption that predict held-out
captions best.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor
from torch.nn.functional import softplus

from model.captioning.calibration import FEATURES, Evidence, describe
from model.config import CalibrationConfig, FeatureName

__all__ = ["Calibrated", "Sample", "calibrate", "fit_logistic"]

_FOLDS = 5
_MOST_FEATURES = 3

# Keeps the coefficients finite where a feature separates good and bad perfectly; negligible against
# the curvature of a few hundred captions.
_RIDGE = 1e-6


@dataclass(frozen=True)
class Sample:
    """The evidence about a picture's best caption from one search, and whether it is good."""

    picture: str
    evidence: Evidence
    good: bool


@dataclass(frozen=True)
class Calibrated:
    """A fitted calibration.

    Attributes:
        config: for the bundle; its `cider` is still empty.
        confidences: of the samples, each by a fit without the pictures of its fold (samples,).
        losses: held-out log-loss in nats, for every set of features that was tried.
    """

    config: CalibrationConfig
    confidences: Tensor
    losses: dict[tuple[FeatureName, ...], float]


def calibrate(samples: Sequence[Sample], level: float) -> Calibrated:
    """Fit a calibration, with the features that predict best.

    If there are several beam sizes, the size is always one of the features, so that the fit holds
    for each of them: the log-loss over all captions may hide that one is off. Every set of up to
    three features is fitted to four fifths of the pictures and measured on the others, in turn; the
    set with the lowest held-out log-loss is chosen.

    Args:
        samples: captions; those of one picture are held out together.
        level: the one by which they were judged, see `CalibrationConfig`.

    Raises:
        ValueError: the captions are nearly all good or nearly all bad, or too few.
    """
    good = torch.tensor([sample.good for sample in samples], dtype=torch.float64)
    pictures = {name: i for i, name in enumerate(dict.fromkeys(s.picture for s in samples))}
    if min(good.sum(), (1 - good).sum()) < 2 * _FOLDS or len(pictures) < 2 * _FOLDS:
        raise ValueError(
            f"{int(good.sum())} of {len(good)} captions reach the level {level:g}: too few to fit "
            "a confidence: choose another level or give more pictures"
        )
    place = torch.tensor([pictures[sample.picture] for sample in samples])  # (samples,)
    shuffled = torch.randperm(len(pictures), generator=torch.Generator().manual_seed(0))
    fold = (shuffled % _FOLDS)[place]

    names = tuple(FEATURES)
    rows = [describe(names, sample.evidence) for sample in samples]
    table = torch.tensor(rows, dtype=torch.float64)  # (samples, features)
    varying = [name for i, name in enumerate(names) if table[:, i].min() < table[:, i].max()]
    held_out: dict[tuple[FeatureName, ...], Tensor] = {}
    always = {"log_beam_size"}.intersection(varying)
    for count in range(1, _MOST_FEATURES + 1):
        for chosen in combinations(varying, count):
            if set(chosen) == always or not always.issubset(chosen):
                continue
            columns = table[:, [names.index(name) for name in chosen]]
            held_out[chosen] = _hold_out(columns, good, fold)
    if not held_out:
        raise ValueError("all captions are equally likely: there is nothing to fit")

    losses = {chosen: float(_log_loss(logits, good).mean()) for chosen, logits in held_out.items()}
    chosen = min(losses, key=lambda chosen: losses[chosen])
    coefficients, intercept = fit_logistic(table[:, [names.index(name) for name in chosen]], good)
    config = CalibrationConfig(
        features=chosen,
        coefficients=tuple(coefficients.tolist()),
        intercept=intercept,
        level=level,
    )
    return Calibrated(config, held_out[chosen].sigmoid(), losses)


def fit_logistic(features: Tensor, good: Tensor, *, steps: int = 100) -> tuple[Tensor, float]:
    """Find the maximum-likelihood coefficients, by Newton's method with step halving.

    Args:
        features: float64 (samples, features)
        good: 0 or 1, float64 (samples,)
        steps: the most iterations; four or five usually suffice.

    Returns:
        Coefficients (features,), and the intercept.

    Raises:
        ValueError: it does not converge.
    """
    mean, std = features.mean(0), features.std(0, correction=0).clamp(min=1e-12)
    ones = torch.ones_like(features[:, :1])
    table = torch.cat([(features - mean) / std, ones], dim=1)  # (samples, features + 1)
    ridge = torch.full_like(table[0], _RIDGE)
    ridge[-1] = 0
    weights = torch.zeros_like(ridge)

    def loss(weights: Tensor) -> Tensor:
        return _log_loss(table @ weights, good).mean() + (ridge * weights**2).sum() / 2

    for _ in range(steps):
        chances = (table @ weights).sigmoid()
        gradient = table.T @ (chances - good) / len(good) + ridge * weights
        if gradient.abs().max() < 1e-10:
            coefficients = weights[:-1] / std
            return coefficients, float(weights[-1] - coefficients @ mean)
        curvature = table.T @ (table * (chances * (1 - chances))[:, None]) / len(good)
        step = torch.linalg.solve(curvature + ridge.diag(), gradient)
        size = 1.0
        while loss(weights - size * step) > loss(weights) and size > 1e-6:
            size /= 2
        weights = weights - size * step
    raise ValueError(f"the confidence could not be fitted in {steps} steps of Newton's method")


def _hold_out(features: Tensor, good: Tensor, fold: Tensor) -> Tensor:
    """Return each sample's log-odds (samples,) by the fit to the other folds."""
    logits = torch.empty_like(good)
    for number in range(_FOLDS):
        inside = fold == number
        coefficients, intercept = fit_logistic(features[~inside], good[~inside])
        logits[inside] = features[inside] @ coefficients + intercept
    return logits


def _log_loss(logits: Tensor, good: Tensor) -> Tensor:
    """Return -log p(outcome) of each sample, in nats, from log-odds: (samples,)."""
    return softplus(logits) - good * logits
