"""Decode a picture file that somebody sent, within the service's limits.

The decoding is that of `model.pictures`, which Python and training use as well; here its errors
become those that a client is told.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from app.errors import PictureError, PictureTooCostly, TooManyPixels, UnsupportedImage
from model.pictures import formats
from model.pictures.decode import Limits, OpenedPicture, open_picture
from model.pictures.errors import (
    CostlyPicture,
    OversizedPicture,
    UnreadablePicture,
    UnsupportedPicture,
)

__all__ = [
    "SUFFIXES",
    "DecodedPicture",
    "decode_opened",
    "decode_picture",
    "open_upload",
    "picture_errors",
    "read_picture",
]

SUFFIXES = formats.SUFFIXES  # of the files that a folder stands for

_MAX_SECONDS = 10.0  # of one core, to decode one picture
_MAX_MEMORY = 640e6  # bytes; a picture of 50 million pixels takes 400 million at most

# Pillow warns about odd metadata, which affects no pixel; what does raises an exception.
warnings.filterwarnings("ignore", module=r"PIL\.")


@dataclass(frozen=True)
class DecodedPicture:
    """An upright RGB picture, with the format of its file and the size of the picture in it.

    A picture with a colour profile may have been reduced.
    """

    image: Image.Image
    format: str
    width: int
    height: int


def read_picture(path: Path, max_pixels: int) -> DecodedPicture:
    """Decode a file, as `decode_picture` does.

    Raises:
        OSError: the file cannot be read.
        PictureError: the file cannot be decoded.
    """
    return decode_picture(path.read_bytes(), max_pixels)


def decode_picture(data: bytes, max_pixels: int) -> DecodedPicture:
    """Decode a picture file of any format of `model.pictures.formats`.

    Args:
        data: the whole file.
        max_pixels: the largest width x height, checked against the header before decoding.

    Raises:
        UnsupportedImage: the bytes are not a picture of a kind that is read.
        TooManyPixels: the picture is larger than `max_pixels`, or a side is too long.
        PictureTooCostly: it would take too much time or memory to decode.
        PictureError: the file is damaged or cut short.
    """
    return decode_opened(open_upload(data, max_pixels))


def open_upload(data: bytes, max_pixels: int) -> OpenedPicture:
    """Read the header of a picture file, see `decode_picture`."""
    with picture_errors():
        return open_picture(data, Limits(max_pixels, _MAX_SECONDS, _MAX_MEMORY))


def decode_opened(opened: OpenedPicture) -> DecodedPicture:
    """Decode a picture whose header has been read.

    Raises:
        PictureError: the file is damaged or cut short.
    """
    with picture_errors():
        return DecodedPicture(opened.decode(), opened.format, *opened.size)


@contextmanager
def picture_errors() -> Iterator[None]:
    """Turn the errors of `model.pictures` into those of the service."""
    try:
        yield
    except UnsupportedPicture as error:
        raise UnsupportedImage(str(error)) from error
    except CostlyPicture as error:
        raise PictureTooCostly(str(error)) from error
    except OversizedPicture as error:
        raise TooManyPixels(str(error)) from error
    except UnreadablePicture as error:
        raise PictureError(str(error)) from error
