"""Untrusted bytes to an upright RGB picture.

Knows picture files and what can be wrong with them; knows nothing of HTTP or models.
Decoding changes no global state, so that any number of threads may do it at once.
"""

import warnings
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from app.errors import PictureError, TooManyPixels, UnsupportedImage

__all__ = ["FORMATS", "SUFFIXES", "Picture", "decode_picture", "read_picture"]

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"})

# Pillow warns of harmless metadata, which spoils no pixel; what does raises.
warnings.filterwarnings("ignore", module=r"PIL\.")

Image.init()  # registers the formats now, rather than in the first threads that decode

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class Picture:
    """An upright RGB picture, and the format of the file it came from."""

    image: Image.Image
    format: str

    @property
    def width(self) -> int:
        """Pixels across, once upright."""
        return self.image.width

    @property
    def height(self) -> int:
        """Pixels down, once upright."""
        return self.image.height


def read_picture(path: Path, max_pixels: int) -> Picture:
    """Decode a file, as `decode_picture` does.

    Raises:
        OSError: the file cannot be read.
        PictureError: it holds no sound picture.
    """
    return decode_picture(path.read_bytes(), max_pixels)


def decode_picture(data: bytes, max_pixels: int) -> Picture:
    """Decode a JPEG, PNG, WebP, GIF (first frame), BMP or TIFF file.

    Transparency is laid on white; 16-bit and floating-point greys are scaled to 8 bits.

    Args:
        data: the whole file.
        max_pixels: largest width x height, judged by the header alone.

    Raises:
        UnsupportedImage: no picture, or a kind of picture that is not read.
        TooManyPixels: larger than `max_pixels`.
        PictureError: damaged or cut short.
    """
    try:
        # Pillow's own caps lie above any `max_pixels`: what trips them is too large here too.
        image: Image.Image = Image.open(BytesIO(data), formats=FORMATS)
        if image.width * image.height > max_pixels:
            raise TooManyPixels(
                f"{image.width} x {image.height} pixels are too many: "
                f"at most {max_pixels / 1e6:g} million are accepted"
            )
        # A photograph with previews inside is called MPO; it is a JPEG all the same.
        file_format = "JPEG" if image.format == "MPO" else str(image.format)
        image.load()
        return Picture(_to_rgb(_upright(image)), file_format)
    except PictureError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise TooManyPixels(
            f"the picture is too large: at most {max_pixels / 1e6:g} million pixels are accepted"
        ) from error
    except UnidentifiedImageError as error:
        raise _unidentified(data) from error
    except Exception as error:  # on bad bytes, Pillow's decoders raise nearly anything
        raise PictureError(f"the picture is damaged or cut short ({error})") from error


def _unidentified(data: bytes) -> PictureError:
    """Tell what begins like a picture, but is damaged, from what is none."""
    for name in FORMATS:
        accepts = Image.OPEN[name][1]
        if accepts is not None and accepts(data[:16]) is True:
            return PictureError(f"the picture's {name} header is damaged or cut short")
    return UnsupportedImage(
        "these bytes are no picture that is read here: send JPEG, PNG, WebP, GIF, BMP or TIFF"
    )


def _upright(image: Image.Image) -> Image.Image:
    """Turn the picture as its EXIF orientation says, where that can be read."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # a malformed EXIF block raises nearly anything, and spoils no pixel
        return image
    turn = _TURNS.get(orientation) if isinstance(orientation, int) else None
    return image if turn is None else image.transpose(turn)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F" or image.mode.startswith("I"):
        image = _to_8_bits(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image if image.mode == "RGB" else image.convert("RGB")


def _to_8_bits(image: Image.Image) -> Image.Image:
    """Scale deep greys linearly, by the smallest usual range that holds them.

    16-bit files use 0..65535. Those of 32 bits and floats do not say what white is: 1, 255 and
    65535 are usual, and where none of them fits, black to white is least to greatest.
    """
    values: np.ndarray[Any, np.dtype[np.float32]] = np.asarray(image).astype(np.float32)
    values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    least, greatest = float(values.min()), float(values.max())
    whites = {"F": (1.0, 255.0, 65535.0), "I": (255.0, 65535.0)}.get(image.mode, (65535.0,))
    white = next((w for w in whites if greatest <= w), None)
    if white is None or least < 0:
        values, white = values - least, max(greatest - least, 1e-12)
    return Image.fromarray((values * (255 / white)).round().astype(np.uint8))
