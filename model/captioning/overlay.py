"""Draw where a captioner looked for each word, over the picture."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.captioning.caption import Grid

__all__ = ["OVERLAY_SIDE", "draw_overlay"]

OVERLAY_SIDE = 224  # pixels of the longer side

_STRENGTH = 0.6  # of the heat map at its strongest

# From no attention to the most: dark violet, red, yellow (as "inferno" of matplotlib).
_COLOURS = np.array(
    [[0, 0, 4], [66, 10, 104], [147, 38, 103], [221, 81, 58], [252, 165, 10], [252, 255, 164]]
)


def draw_overlay(picture: Image.Image, attention: Grid) -> bytes:
    """Return a PNG of a picture, with a heat map of the attention over it.

    Args:
        picture: RGB and upright, of any size; its longer side becomes 224 pixels.
        attention: rows x columns, over the whole picture. The strongest cell gets the brightest
            colour, however strong it is.
    """
    scale = OVERLAY_SIDE / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    pixels = np.asarray(picture.convert("RGB").resize(size), dtype=np.float32)
    heat = _enlarge(attention, size)  # (height, width)
    shade = heat[..., None] * _STRENGTH
    # Where nothing is looked at, the picture is darkened a little, so that the rest stands out.
    drawn = (0.7 + 0.3 * heat[..., None]) * (1 - shade) * pixels + shade * _colours(heat)
    image = Image.fromarray(drawn.clip(0, 255).astype(np.uint8))
    file = io.BytesIO()
    image.quantize(method=Image.Quantize.FASTOCTREE).save(file, "PNG")  # a third of the bytes
    return file.getvalue()


def _enlarge(attention: Grid, size: tuple[int, int]) -> NDArray[np.float32]:
    """Return attention as large as a picture, smooth, with a maximum of 1: (height, width)."""
    cells = np.asarray(attention, dtype=np.float32)
    smooth = Image.fromarray(cells / max(float(cells.max()), 1e-12)).resize(
        size, Image.Resampling.BICUBIC
    )
    return np.asarray(smooth, dtype=np.float32).clip(0, 1)


def _colours(heat: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the colour of each place: (height, width) -> (height, width, 3)."""
    stops = np.linspace(0, 1, len(_COLOURS))
    channels = [np.interp(heat, stops, _COLOURS[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=-1).astype(np.float32)
