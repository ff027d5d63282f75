"""Finds the units of a network that follow a property of a text, and says how well by chance.

With a thousand units, the best of them looks good for any property. Two things guard against it:
units are chosen on the first half of the text and their scores come from the second, and the same
is done with the property moved to other places of the text, which keeps its rhythm and breaks its
tie to what was read.

Knows arrays only, no network and no text. A score says that a unit goes along with a property, not
that the network uses it.
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
    """How well one unit follows a property.

    Attributes:
        unit: its column.
        name: such as "layer 1 unit 37".
        direction: 1 where the unit rises with the property, -1 where it falls; by the first half.
        chosen_by: its score on the first half, which orders the units; flattering.
        score: its score on the second half, in that direction; see `Ranking.measure`.
    """

    unit: int
    name: str
    direction: Literal[1, -1]
    chosen_by: float
    score: float


@dataclass(frozen=True)
class Chance:
    """What the best of all units scores on the second half when the property is moved.

    Even the best one there counts, not only the one that the first half would choose: so any
    unit of a ranking may be held against it.

    Attributes:
        mean: over the random moves.
        high: their 95th percentile; a unit below it is of no interest.
    """

    mean: float
    high: float


@dataclass(frozen=True)
class Ranking:
    """All units, best first, and what to hold them against.

    Attributes:
        measure: "auc" for a bool property, the area under the ROC curve: the probability that a
            random place inside has a higher activation than one outside, 0.5 for noise;
            "spearman" for a number, the rank correlation, 0 for noise. Both times 1 is perfect,
            and less than noise means that the unit changed its direction.
        units: ordered by the first half, scored on the second.
        chance: for the best unit.
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
    """Order units by how well each alone follows a property.

    Args:
        activations: (characters, units), finite.
        values: (characters,), bool or numbers; see `model.interpretation.properties`.
        mask: (characters,); places where it is False are left out.
        names: one a unit.
        shifts: how many random moves of the property tell chance.
        seed: of those moves.

    Raises:
        ValueError: sizes differ, or the property never varies in one half of the text.
    """
    if activations.ndim != 2 or not activations.shape[1]:
        raise ValueError(f"activations must be (characters, units), not {activations.shape}")
    if shifts < 1:
        raise ValueError("chance needs at least one shift")
    units = activations.shape[1]
    names = [f"unit {unit}" for unit in range(units)] if names is None else names
    if len(names) != units:
        raise ValueError(f"{len(names)} names for {units} units")
    halves = _halves(len(activations), values, mask)
    flags = values.dtype == np.bool_
    short = len(halves[0])
    margin = short // 10  # a property moved by little would still be itself
    moves = np.random.default_rng(seed).integers(margin, short - margin, shifts).tolist()
    targets = [_targets(values[places], moves) for places in halves]

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
    """The places of the first and the second half of what the mask leaves."""
    mask = np.ones(characters, dtype=np.bool_) if mask is None else mask
    if not (values.shape == mask.shape == (characters,)):
        raise ValueError(
            f"{characters} activations, values {values.shape} and mask {mask.shape} must be "
            "of the same characters"
        )
    places = np.flatnonzero(mask)
    first, second = places[: len(places) // 2], places[len(places) // 2 :]
    for name, half in (("first", first), ("second", second)):
        known = values[half]
        if not np.isfinite(known).all():
            raise ValueError("the property has values that are no numbers; mask them")
        if not len(known) or (known == known[0]).all():
            raise ValueError(
                f"the property never varies in the {name} half of the text, so that nothing can "
                "follow it: take a longer text or another one"
            )
    return first, second


def _targets(values: Flags | Numbers, moves: Sequence[int]) -> Numbers:
    """What to multiply centred ranks with: the property, then its moves: (places, 1 + shifts).

    What a move pushes over the end of its half comes in again at the start.
    """
    if values.dtype == np.bool_:
        inside = int(values.sum())
        target = values * (2 / (inside * (len(values) - inside)))
    else:
        ranks = _centred_ranks(values)
        target = ranks / np.linalg.norm(ranks)
    return np.stack([target, *(np.roll(target, move) for move in moves)], axis=1)


def _effects(activations: Numbers, targets: Numbers, *, flags: bool) -> Numbers:
    """From -1 to 1: 2 AUC - 1 (Mann and Whitney's U) or Spearman's correlation.

    Both are sums of ranks, so one product serves all units and all moves of the property.
    """
    if not np.isfinite(activations).all():
        raise ValueError("activations must be finite")
    if activations.dtype == np.float16:
        activations = activations.astype(np.float32)  # which NumPy sorts faster
    ranks = np.stack([_centred_ranks(column) for column in activations.T])  # (units, places)
    if not flags:
        lengths = np.linalg.norm(ranks, axis=1, keepdims=True)
        ranks /= np.where(lengths > 0, lengths, 1)  # a unit that never moves follows nothing
    effects: Numbers = (ranks @ targets).clip(-1, 1)  # rounding may pass a perfect score
    return effects


def _centred_ranks(column: Flags | Numbers) -> Numbers:
    """Ranks about 0, ties sharing their mean."""
    _, group, sizes = np.unique(column, return_inverse=True, return_counts=True)
    middle = np.cumsum(sizes) - (sizes + len(column)) / 2
    ranks: Numbers = middle[group]
    return ranks
