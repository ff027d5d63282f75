"""The curves of captioner training runs that continue from each other, as panels of lines."""

from collections.abc import Sequence
from typing import Any

from model.reporting.plots import COLOURS, Line, Panel

__all__ = ["training_panels"]

# What a point of a curve may hold: the panel's title, its vertical axis, and a scale factor.
_MEASURES = {
    "loss": ("Cross-entropy of the training captions", "nats a token", 1.0),
    "reward": ("Reward of captions drawn for training pictures", "CIDEr-D, 0 to 10", 1.0),
    "/cider": ("Validation CIDEr, beam 3", "times 100", 100.0),
    "/bleu_4": ("Validation BLEU-4, beam 3", "times 100", 100.0),
}
_STYLES = ("-", "--", ":", "-.")  # one for each data set


def training_panels(curves: dict[str, list[dict[str, Any]]]) -> list[Panel]:
    """Return a panel for each measure that any curve holds.

    Args:
        curves: of each run, by name (`curve.json`). Each has a colour, and begins at the epoch
            where the one before it ended; each data set has a line style.
    """
    found = []
    for measure, (title, unit, factor) in _MEASURES.items():
        lines: list[Line] = []
        before = 0
        for (name, curve), colour in zip(curves.items(), COLOURS.values(), strict=False):
            series = {key: _points(curve, key, before) for key in _keys(curve, measure)}
            lines += [
                Line(
                    f"{name}: {key.removesuffix(measure)}" if measure.startswith("/") else name,
                    [epoch for epoch, _ in values],
                    [factor * value for _, value in values],
                    colour,
                    style,
                    marker=".",
                )
                for (key, values), style in zip(series.items(), _STYLES, strict=False)
            ]
            before += max(point.get("epoch", 0) for point in curve)
        if lines:
            found.append(Panel(title, "epoch", unit, lines))
    return found


def _keys(curve: Sequence[dict[str, Any]], measure: str) -> list[str]:
    """List a measure's series: one, or one for each data set if it begins with a slash."""
    names = dict.fromkeys(key for point in curve for key in point)
    return [key for key in names if key == measure or (measure[0] == "/" and key.endswith(measure))]


def _points(curve: Sequence[dict[str, Any]], key: str, before: int) -> list[tuple[int, float]]:
    """Return a series by epoch; losses are logged at the step at which the epoch ends."""
    epochs = {point["step"]: point["epoch"] for point in curve if "epoch" in point}
    return [
        (before + epochs[point["step"]], point[key])
        for point in curve
        if key in point and point["step"] in epochs
    ]
