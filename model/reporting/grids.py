"""Draw rows of small pictures, as a PNG."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from model.files import atomic_write

__all__ = ["PictureRow", "draw_pictures"]

_INCHES = 0.95


@dataclass(frozen=True)
class PictureRow:
    """Pictures under one label.

    Attributes:
        pictures: (pictures, height, width, channels); of one channel or of three.
        stretch: whether each picture is stretched from black to white; otherwise 0 is black and 1
            white.
    """

    label: str
    pictures: NDArray[np.floating[Any]]
    stretch: bool = True


def draw_pictures(rows: Sequence[PictureRow], path: Path) -> None:
    """Draw rows of pictures into a PNG file, written atomically.

    Raises:
        OSError: the file cannot be written.
    """
    columns = max(len(row.pictures) for row in rows)
    figure = Figure(figsize=(_INCHES * columns + 1.9, _INCHES * len(rows)), dpi=110)
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(rows), columns, squeeze=False)
    figure.subplots_adjust(left=1.85 / figure.get_figwidth(), right=1, bottom=0, top=1)
    figure.subplots_adjust(wspace=0.05, hspace=0.05)
    for row, places in zip(rows, grid, strict=True):
        places[0].text(
            -0.08, 0.5, row.label, transform=places[0].transAxes, ha="right", va="center", size=8
        )
        for place in places:
            place.axis("off")
        for place, picture in zip(places, _stretched(row), strict=False):
            place.imshow(picture, cmap="gray", vmin=0, vmax=1)
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})


def _stretched(row: PictureRow) -> NDArray[np.floating[Any]]:
    if not row.stretch:
        return row.pictures.clip(0, 1)
    low = row.pictures.min(axis=(1, 2, 3), keepdims=True)
    span = row.pictures.max(axis=(1, 2, 3), keepdims=True) - low
    stretched: NDArray[np.floating[Any]] = (row.pictures - low) / np.where(span > 0, span, 1)
    return stretched
