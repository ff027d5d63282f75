"""Turn a picture of any mode and orientation into an upright one in RGB."""

from typing import Any

import numpy as np
from PIL import ExifTags, Image

__all__ = ["upright_rgb"]

_TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def upright_rgb(image: Image.Image) -> Image.Image:
    """Apply the EXIF orientation and convert to RGB.

    Transparency is blended with white; 16-bit and floating-point greys are scaled to 8 bits.

    Raises:
        Exception: of nearly any type, if the picture is damaged: Pillow decodes it only here.
    """
    image.load()  # a damaged picture is an error here, whatever its metadata
    return _to_rgb(_upright(image))


def _upright(image: Image.Image) -> Image.Image:
    """Apply the EXIF orientation, if it can be read."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # a malformed EXIF block raises nearly anything, but affects no pixel
        return image
    transposition = _TRANSPOSITIONS.get(orientation) if isinstance(orientation, int) else None
    return image if transposition is None else image.transpose(transposition)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F" or image.mode.startswith("I"):
        image = _to_8_bits(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image if image.mode == "RGB" else image.convert("RGB")


def _to_8_bits(image: Image.Image) -> Image.Image:
    """Scale deep greys linearly from the smallest usual range that contains them.

    16-bit files use 0..65535. 32-bit and floating-point files do not say what white is: 1, 255 and
    65535 are usual. If none of them fits, the least value becomes black and the greatest white.
    """
    values: np.ndarray[Any, np.dtype[np.float32]] = np.asarray(image).astype(np.float32)
    values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    least, greatest = float(values.min()), float(values.max())
    whites = {"F": (1.0, 255.0, 65535.0), "I": (255.0, 65535.0)}.get(image.mode, (65535.0,))
    white = next((w for w in whites if greatest <= w), None)
    if white is None or least < 0:
        values, white = values - least, max(greatest - least, 1e-12)
    return Image.fromarray((values * (255 / white)).round().astype(np.uint8))
