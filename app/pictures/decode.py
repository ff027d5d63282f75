"""Decode untrusted bytes to an upright RGB picture.

Decoding changes no global state: any number of threads may do it at once.
"""

import warnings
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from app.errors import PictureError, TooManyPixels, UnsupportedImage
from model.pictures import upright_rgb

__all__ = ["FORMATS", "SUFFIXES", "DecodedPicture", "decode_picture", "read_picture"]

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"})

# Pillow warns about odd metadata, which affects no pixel; what does raises an exception.
warnings.filterwarnings("ignore", module=r"PIL\.")

Image.init()  # register the formats now, not in the first threads that decode


@dataclass(frozen=True)
class DecodedPicture:
    """An upright RGB picture, and the format of its file."""

    image: Image.Image
    format: str

    @property
    def width(self) -> int:
        """The width of the upright picture, in pixels."""
        return self.image.width

    @property
    def height(self) -> int:
        """The height of the upright picture, in pixels."""
        return self.image.height


def read_picture(path: Path, max_pixels: int) -> DecodedPicture:
    """Decode a file, as `decode_picture` does.

    Raises:
        OSError: the file cannot be read.
        PictureError: the file cannot be decoded.
    """
    return decode_picture(path.read_bytes(), max_pixels)


def decode_picture(data: bytes, max_pixels: int) -> DecodedPicture:
    """Decode a JPEG, PNG, WebP, GIF (first frame), BMP or TIFF file.

    Transparency is blended with white; 16-bit and floating-point greys are scaled to 8 bits.

    Args:
        data: the whole file.
        max_pixels: the largest width x height, checked against the header before decoding.

    Raises:
        UnsupportedImage: the bytes are not a picture in one of these formats.
        TooManyPixels: the picture is larger than `max_pixels`.
        PictureError: the file is damaged or cut short.
    """
    try:
        # Pillow's own limits are above any `max_pixels`: what exceeds them is too large here too.
        image: Image.Image = Image.open(BytesIO(data), formats=FORMATS)
        if image.width * image.height > max_pixels:
            raise TooManyPixels(
                f"{image.width} x {image.height} pixels are too many: "
                f"at most {max_pixels / 1e6:g} million are accepted"
            )
        # Pillow calls a JPEG with embedded previews MPO.
        file_format = "JPEG" if image.format == "MPO" else str(image.format)
        return DecodedPicture(upright_rgb(image), file_format)
    except PictureError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise TooManyPixels(
            f"the picture is too large: at most {max_pixels / 1e6:g} million pixels are accepted"
        ) from error
    except UnidentifiedImageError as error:
        raise _unidentified_error(data) from error
    except Exception as error:  # on bad bytes, Pillow's decoders raise nearly anything
        raise PictureError(f"the picture is damaged or cut short ({error})") from error


def _unidentified_error(data: bytes) -> PictureError:
    """Return the error for bytes that Pillow cannot identify: a damaged header, or no picture."""
    for name in FORMATS:
        accepts = Image.OPEN[name][1]
        if accepts is not None and accepts(data[:16]) is True:
            return PictureError(f"the picture's {name} header is damaged or cut short")
    return UnsupportedImage("unsupported image format: send JPEG, PNG, WebP, GIF, BMP or TIFF")
