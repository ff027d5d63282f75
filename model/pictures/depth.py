"""Scale greys of any depth to 8 bits."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["is_deep", "to_8_bits"]

_WHITES = {"F": (1.0, 255.0, 65535.0), "I": (255.0, 65535.0)}  # where a file does not say
_TOLERANCE = 0.01  # of the range: arithmetic leaves values a hair's breadth outside of a range
_NO_DATA = (-9999.0, -32768.0)  # what maps hold where nothing was measured
_SAMPLES = 1_000_000  # values that a range is found from
_BAND = 4_000_000  # pixels that are converted at once, which bounds the memory

_BITS, _PHOTOMETRIC, _FORMAT, _LEAST, _GREATEST, _GDAL_NO_DATA = 258, 262, 339, 340, 341, 42113

Floats = NDArray[np.float32]


def is_deep(image: Image.Image) -> bool:
    """Whether `to_8_bits` changes a picture: deep greys, and signed ones of 8 bits."""
    return image.mode[0] in "IF" or (image.mode == "L" and _tag(image, _FORMAT) == 2)


def to_8_bits(image: Image.Image) -> Image.Image:
    """Scale greys linearly to 0..255, by what the file's tags say of their range.

    Integers of up to 16 bits go to the greatest that their bits allow. 32-bit and floating-point
    files seldom say what white is: 1, 255 and 65535 are usual. If none of them fits, the range of
    the values is stretched. What is not a number, or stands for no data, becomes black.

    Returns:
        A picture in mode L, or LA if one value stands for transparency.
    """
    if image.mode == "L":  # signed
        return Image.eval(image, lambda value: value ^ 128)
    no_data = _no_data(image)
    black, white = _range(image, no_data)
    result = Image.new("L", image.size)
    rows = max(1, _BAND // image.width)
    for top in range(0, image.height, rows):
        box = (0, top, image.width, min(top + rows, image.height))
        values = _values(image.crop(box), no_data)
        scaled = (np.nan_to_num(values, nan=black) - black) * (255 / (white - black))
        levels = scaled.clip(0, 255).round().astype(np.uint8)
        if _tag(image, _PHOTOMETRIC) == 0:  # white is zero; Pillow inverts 8 bits only
            levels = np.where(np.isnan(values), 0, 255 - levels).astype(np.uint8)
        result.paste(Image.fromarray(levels), box)
    key = image.info.get("transparency")
    if isinstance(key, int):
        alpha = Image.fromarray(np.where(np.asarray(image) == key, 0, 255).astype(np.uint8))
        result = Image.merge("LA", (result, alpha))
    return result


def _range(image: Image.Image, no_data: tuple[float, ...]) -> tuple[float, float]:
    """Return the values of black and of white."""
    if image.mode.startswith("I;16"):
        bits = _tag(image, _BITS) or 16
        return 0.0, 2.0**bits - 1
    least, greatest = _tag(image, _LEAST), _tag(image, _GREATEST)
    if least is not None and greatest is not None and least < greatest:
        return float(least), float(greatest)
    step = max(1, int((image.width * image.height / _SAMPLES) ** 0.5))
    size = (-(-image.width // step), -(-image.height // step))
    sample = image if step == 1 else image.resize(size, Image.Resampling.NEAREST)
    values = _values(sample, no_data)
    values = values[np.isfinite(values)]
    if not values.size:
        return 0.0, 1.0
    # A few values outside of a range are noise, and say nothing of the others.
    low, high = (float(value) for value in np.percentile(values, (0.1, 99.9)))
    whites = _WHITES[image.mode]
    if image.mode == "I" and _tag(image, _BITS) == 16:
        whites = (32767.0, 65535.0)  # signed: the greatest that there can be
    for white in whites:
        if -_TOLERANCE * high <= low and high <= (1 + _TOLERANCE) * white:
            return 0.0, white
    low, high = float(values.min()), float(values.max())
    return low, max(high, low + 1e-12 * max(1.0, abs(low)))


def _values(image: Image.Image, no_data: tuple[float, ...]) -> Floats:
    """Return the values of a picture; NaN where there is none."""
    values: Floats = np.asarray(image).astype(np.float32)
    if image.mode == "F":
        values[~(np.abs(values) < 1e30)] = np.nan  # -3.4e38 stands for no data, too
        values[np.isin(values, np.array(no_data, np.float32))] = np.nan
    return values


def _no_data(image: Image.Image) -> tuple[float, ...]:
    try:
        return (*_NO_DATA, float(str(_tag(image, _GDAL_NO_DATA)).strip("\0 ")))
    except ValueError:
        return _NO_DATA


def _tag(image: Image.Image, tag: int) -> Any:
    """Return the first value of a TIFF's tag; None if it has none, or is no TIFF."""
    try:
        value = getattr(image, "tag_v2", {}).get(tag)
    except Exception:  # a malformed entry raises nearly anything
        return None
    return value[0] if isinstance(value, tuple) and value else value
