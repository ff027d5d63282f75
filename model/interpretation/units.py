"""Find the units of a network that track a property of a text, and compare them with chance.

Among a thousand units, the best one looks good for any property. Two things guard against this:
units are chosen on the first half of the text and scored on the second, and the same is done with
the property shifted to other places of the text, which keeps its rhythm and breaks its connection
to what was read.

A score shows that a unit correlates with a property, not that the network uses it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Chance", "Ranking", "UnitScore", "rank_units"]

Numbers = NDArray[np.floating]
Flags = NDArray[np.bool_]

_BLOCK = 64  # units at a time: 100,000 characters of them take some 50 MB


@dataclass(frozen=True)
class UnitScore:
    """How well one unit tracks a property.

    Attributes:
        unit: its column.
        name: such as "layer 1 unit 37".
        direction: 1 if the unit rises with the property, -1 if it falls; from the first half.
        chosen_by: its score on the first half, by which units are ranked; too optimistic.
        score: its score on the second half, in that direction; see `Ranking.measure`.
    """

    unit: int
    name: str
    direction: Literal[1, -1]
    chosen_by: float
    score: float


@dataclass(frozen=True)
class Chance:
    """The best score of any unit on the second half when the property is shifted.

    It is the best unit of the second half, not the one that the first half would choose, so that
    any unit of a ranking can be compared with it.

    Attributes:
        mean: over the random shifts.
        high: their 95th percentile; a unit below it may have scored by chance.
    """

    mean: float
    high: float


@dataclass(frozen=True)
class Ranking:
    """All units, best first, and what to compare them with.

    Attributes:
        measure: "auc" for a bool property, the area under the ROC curve: the probability that a
            random place inside has a higher activation than one outside, 0.5 for noise;
            "spearman" for a number, the rank correlation, 0 for noise. In both, 1 is perfect,
            and less than noise means that the unit changed direction.
        units: ranked on the first half, scored on the second.
        chance: the scores to expect by chance.
    """

    measure: Literal["auc", "spearman"]
    units: list[UnitScore]
    chance: Chance


def rank_units(
    activations: Numbers,
    values: Flags | Numbers,
    mask: Flags | None = None,
    *,
    names: Sequence[str] | None = None,
    shifts: int = 100,
    seed: int = 0,
) -> Ranking:
    """Rank units by how well each one alone tracks a property.

    Args:
        activations: (characters, units), finite.
        values: (characters,), bool or numbers; see `model.interpretation.properties`.
        mask: (characters,); positions where it is False are left out.
        names: one for each unit.
        shifts: how many random shifts of the property estimate chance.
        seed: of those shifts.

    Raises:
        ValueError: sizes differ, or the property is constant in one half of the text.
    """
    if activations.ndim != 2 or not activations.shape[1]:
        raise ValueError(f"activations must be (characters, units), not {activations.shape}")
    if shifts < 1:
        raise ValueError("shifts must be at least 1")
    units = activations.shape[1]
    names = [f"unit {unit}" for unit in range(units)] if names is None else names
    if len(names) != units:
        raise ValueError(f"{len(names)} names for {units} units")
    halves = _halves(len(activations), values, mask)
    flags = values.dtype == np.bool_
    short = len(halves[0])
    margin = short // 10  # a property shifted only slightly would still correlate with itself
    offsets = np.random.default_rng(seed).integers(margin, short - margin, shifts).tolist()
    targets = [_targets(values[places], offsets) for places in halves]

    chosen_by = np.empty(units)
    scores = np.empty(units)
    best = np.full(shifts, -np.inf)
    for start in range(0, units, _BLOCK):
        block = slice(start, start + _BLOCK)
        first, second = (
            _effects(activations[places, block], target, flags=flags)  # (units, 1 + shifts)
            for places, target in zip(halves, targets, strict=True)
        )
        second = np.where(first < 0, -second, second)
        chosen_by[block], scores[block] = first[:, 0], second[:, 0]
        best = np.maximum(best, second[:, 1:].max(0))

    if flags:
        scores, best = (1 + scores) / 2, (1 + best) / 2
    strength = (1 + abs(chosen_by)) / 2 if flags else abs(chosen_by)
    return Ranking(
        measure="auc" if flags else "spearman",
        units=[
            UnitScore(
                unit=int(unit),
                name=names[unit],
                direction=-1 if chosen_by[unit] < 0 else 1,
                chosen_by=float(strength[unit]),
                score=float(scores[unit]),
            )
            for unit in np.argsort(-strength, kind="stable")
        ],
        chance=Chance(mean=float(best.mean()), high=float(np.percentile(best, 95))),
    )


def _halves(
    characters: int, values: Flags | Numbers, mask: Flags | None
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the positions of the first and the second half of what the mask keeps."""
    mask = np.ones(characters, dtype=np.bool_) if mask is None else mask
    if not (values.shape == mask.shape == (characters,)):
        raise ValueError(
            f"{characters} activations, values {values.shape} and mask {mask.shape} must "
            "have the same length"
        )
    places = np.flatnonzero(mask)
    first, second = places[: len(places) // 2], places[len(places) // 2 :]
    for name, half in (("first", first), ("second", second)):
        known = values[half]
        if not np.isfinite(known).all():
            raise ValueError("the property has values that are not finite: mask them")
        if not len(known) or (known == known[0]).all():
            raise ValueError(
                f"the property never varies in the {name} half of the text, so no unit can track "
                "it: use a longer text or another one"
            )
    return first, second


def _targets(values: Flags | Numbers, offsets: Sequence[int]) -> Numbers:
    """Return what to multiply centred ranks with: the property, then its shifted copies.

    The shifts are circular within the half. The result has the shape (places, 1 + shifts).
    """
    if values.dtype == np.bool_:
        inside = int(values.sum())
        target = values * (2 / (inside * (len(values) - inside)))
    else:
        ranks = _centred_ranks(values)
        target = ranks / np.linalg.norm(ranks)
    return np.stack([target, *(np.roll(target, offset) for offset in offsets)], axis=1)


def _effects(activations: Numbers, targets: Numbers, *, flags: bool) -> Numbers:
    """Return 2 AUC - 1 (Mann and Whitney's U) or Spearman's correlation, both -1 to 1.

    Both are sums of ranks, so one product serves all units and all shifts of the property.
    """
    if not np.isfinite(activations).all():
        raise ValueError("activations must be finite")
    if activations.dtype == np.float16:
        activations = activations.astype(np.float32)  # which NumPy sorts faster
    ranks = np.stack([_centred_ranks(column) for column in activations.T])  # (units, places)
    if not flags:
        lengths = np.linalg.norm(ranks, axis=1, keepdims=True)
        ranks /= np.where(lengths > 0, lengths, 1)  # a constant unit tracks nothing
    effects: Numbers = (ranks @ targets).clip(-1, 1)  # rounding may exceed a perfect score
    return effects


def _centred_ranks(column: Flags | Numbers) -> Numbers:
    """Return ranks centred at 0, ties sharing their mean."""
    _, group, sizes = np.unique(column, return_inverse=True, return_counts=True)
    middle = np.cumsum(sizes) - (sizes + len(column)) / 2
    ranks: Numbers = middle[group]
    return ranks
