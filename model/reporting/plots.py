"""Draw lines in panels side by side, as a PNG.

The same lines always give the same file: no window, no user style and no global state of
matplotlib is involved.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from model.files import atomic_write

__all__ = ["COLOURS", "Line", "Panel", "band", "draw"]

# Distinguishable with colour blindness, too (Okabe and Ito 2008).
COLOURS = {
    "rnn": "#000000",
    "lstm": "#0072B2",
    "gru": "#D55E00",
    "gru-cho": "#7F7F7F",
    "mut1": "#009E73",
    "mut2": "#CC79A7",
    "mut3": "#E69F00",
    "other": "#56B4E9",
}


@dataclass(frozen=True)
class Line:
    """One line; a `label` of "" is left out of the legend, `low` and `high` bound a band."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    colour: str
    style: str = "-"
    width: float = 1.6
    marker: str = ""
    low: Sequence[float] = ()
    high: Sequence[float] = ()


@dataclass(frozen=True)
class Panel:
    """Axes with their units and lines.

    `log` makes the vertical axis logarithmic, `log_x` the horizontal one; `counts` puts ticks on
    the horizontal one only at whole numbers.
    """

    title: str
    x: str
    y: str
    lines: Sequence[Line]
    log: bool = False
    counts: bool = True
    log_x: bool = False


def band(
    label: str,
    curves: Sequence[Sequence[float]],
    colour: str,
    *,
    start: int = 0,
    style: str = "-",
    width: float = 1.6,
) -> Line:
    """Return the median of several curves, within their extremes; a curve may end early."""
    longest = max(map(len, curves))
    columns = [[curve[i] for curve in curves if i < len(curve)] for i in range(longest)]
    medians = [median(column) for column in columns]
    return Line(
        label if any(medians) else f"{label} (zero)",
        range(start, start + longest),
        medians,
        colour,
        style=style,
        width=width,
        low=[min(column) for column in columns],
        high=[max(column) for column in columns],
    )


def draw(panels: Sequence[Panel], path: Path) -> None:
    """Draw panels side by side into a PNG file, written atomically.

    Raises:
        OSError: the file cannot be written.
    """
    figure = Figure(figsize=(6.4 * len(panels), 4.8), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    for panel, axes in zip(panels, figure.subplots(1, len(panels), squeeze=False)[0], strict=True):
        _fill(axes, panel)
    with atomic_write(path) as temporary:
        # Without matplotlib's version, so that the same lines give the same bytes.
        figure.savefig(temporary, format="png", metadata={"Software": None})


def _fill(axes: Axes, panel: Panel) -> None:
    axes.set(title=panel.title, xlabel=panel.x, ylabel=panel.y)
    if panel.counts:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(visible=True, alpha=0.3)
    if panel.log:
        axes.set_yscale("log")
    if panel.log_x:
        axes.set_xscale("log")
    for line in panel.lines:
        axes.plot(
            line.x,
            _shown(line.y, log=panel.log),
            label=line.label or "_",
            color=line.colour,
            linestyle=line.style,
            linewidth=line.width,
            marker=line.marker,
            markersize=4,
        )
        if len(line.low):
            low, high = (_shown(edge, log=panel.log) for edge in (line.low, line.high))
            axes.fill_between(line.x, low, high, color=line.colour, alpha=0.12, linewidth=0)
    if any(line.label for line in panel.lines):
        axes.legend(fontsize="small", framealpha=0.8)


def _shown(values: Sequence[float], *, log: bool) -> np.ndarray:
    """Leave gaps where a logarithm is undefined."""
    shown = np.asarray(values, dtype=float)
    return np.where(shown > 0, shown, np.nan) if log else shown
