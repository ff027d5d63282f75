"""Decode the bytes of a picture file, of which nothing is trusted.

Opening reads headers, refuses what is over a limit, and says what decoding will cost; only then
are pixels decoded. No global state is changed: any number of threads may do it at once.
"""

import hashlib
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from model.pictures.cost import Cost, estimate_cost
from model.pictures.errors import (
    CostlyPicture,
    OversizedPicture,
    UnreadablePicture,
    UnsupportedPicture,
)
from model.pictures.formats import identify
from model.pictures.jpeg import read_jpeg
from model.pictures.png import clean_png
from model.pictures.tiff import Tiff, read_tiff
from model.pictures.upright import transposition, upright_rgb

__all__ = ["Limits", "OpenedPicture", "open_picture", "read_picture"]

_MAX_SIDE = 65_535  # as in a JPEG; a row is the least that is decoded at once
_BAND_ROWS = 256
_SIDEWAYS = {
    Image.Transpose.TRANSPOSE,
    Image.Transpose.TRANSVERSE,
    Image.Transpose.ROTATE_90,
    Image.Transpose.ROTATE_270,
}


@dataclass(frozen=True)
class Limits:
    """What a picture may cost at most.

    The defaults are for files that you trust.

    Attributes:
        pixels: width x height; Pillow refuses more than 178 million.
        seconds: the estimated time of one core.
        memory: the estimated bytes while decoding.
    """

    pixels: int = 178_000_000
    seconds: float = 120.0
    memory: float = 8e9

    def check(self, size: tuple[int, int]) -> None:
        """Check the size that a header declares.

        Raises:
            OversizedPicture: there are too many pixels, or a side is too long.
        """
        width, height = size
        if width * height > self.pixels:
            raise OversizedPicture(
                f"{width} x {height} pixels are too many: "
                f"at most {self.pixels / 1e6:g} million are accepted"
            )
        if max(size) > _MAX_SIDE:
            raise OversizedPicture(
                f"{width} x {height} pixels: a side may have at most {_MAX_SIDE:,} pixels"
            )

    def check_cost(self, cost: Cost) -> None:
        """Check the estimated cost of decoding.

        Raises:
            CostlyPicture: it takes too much time or memory.
        """
        if cost.seconds > self.seconds:
            raise CostlyPicture(
                f"the picture would take more than {self.seconds:g} seconds to decode: save it "
                "anew as an ordinary JPEG or PNG"
            )
        if cost.memory > self.memory:
            raise CostlyPicture(
                f"the picture would take more than {self.memory / 1e6:.0f} MB of memory to "
                "decode: send it smaller"
            )


@dataclass(frozen=True)
class OpenedPicture:
    """A file whose header has been read.

    Attributes:
        format: Pillow's name of the file's format.
        size: width and height of the upright picture.
        cost: what `decode` is expected to take.
    """

    format: str
    size: tuple[int, int]
    cost: Cost
    _image: Image.Image = field(repr=False)
    _other: bytes | None = field(default=None, repr=False)

    def decode(self) -> Image.Image:
        """Return the upright RGB picture; call it once.

        With a colour profile other than sRGB it may be smaller than `size`.

        Raises:
            CostlyPicture: there is not enough memory.
            UnreadablePicture: the file is damaged or cut short.
        """
        try:
            if self._other is not None:
                _check_complete(self._image, self._other)
            return upright_rgb(self._image)
        except UnreadablePicture:
            raise
        except MemoryError as error:
            raise CostlyPicture("there is not enough memory to decode the picture") from error
        except Exception as error:  # on bad bytes, Pillow's decoders raise nearly anything
            raise _damaged(error) from error


def read_picture(path: str | Path, limits: Limits = Limits()) -> Image.Image:
    """Read a picture file, upright and in RGB.

    Raises:
        OSError: the file cannot be read.
        UnreadablePicture: it cannot be decoded; also an `OSError`. The message names the file.
    """
    try:
        return open_picture(Path(path).read_bytes(), limits).decode()
    except UnreadablePicture as error:
        raise type(error)(f"{path}: {error}") from error


def open_picture(data: bytes, limits: Limits = Limits()) -> OpenedPicture:
    """Read the header of a picture file, and refuse what is over a limit.

    Raises:
        UnsupportedPicture: it is not a picture, or of a kind that is not read; the message names
            the kind.
        OversizedPicture: it is larger, or would cost more, than `limits` allow.
        UnreadablePicture: the header is damaged or cut short.
    """
    name = identify(data)
    jpeg = tiff = None
    if name == "JPEG":
        jpeg = read_jpeg(data)
        data = jpeg.data
    elif name == "PNG":
        data = clean_png(data)
    elif name == "TIFF":
        tiff = read_tiff(data)
    image = _open(data, name, tiff, limits)
    limits.check(image.size)
    turn = transposition(image)
    cost = estimate_cost(image, name, len(data), turned=turn is not None, jpeg=jpeg, tiff=tiff)
    limits.check_cost(cost)
    # Pillow turns a TIFF by itself, and gives the size that it will have then.
    sideways = name != "TIFF" and turn in _SIDEWAYS
    size = image.size[::-1] if sideways else image.size
    return OpenedPicture(name, size, cost, image, jpeg.other if jpeg else None)


def _open(data: bytes, name: str, tiff: Tiff | None, limits: Limits) -> Image.Image:
    kind = tiff and tiff.describe()
    if tiff and kind and not tiff.is_compression_read:
        raise UnsupportedPicture(f"this kind of TIFF is not read: {kind}")
    try:
        return Image.open(BytesIO(data), formats=(name,))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise OversizedPicture(
            f"the picture is too large: at most {limits.pixels / 1e6:g} million pixels are accepted"
        ) from error
    except UnidentifiedImageError as error:
        if kind:
            raise UnsupportedPicture(f"this kind of TIFF is not read: {kind}") from error
        raise UnreadablePicture(f"the picture's {name} header is damaged or cut short") from error
    except Exception as error:
        if str(error).startswith("Unsupported"):  # as Pillow calls sound files that it cannot read
            raise UnsupportedPicture(f"this kind of {name} is not read ({error})") from error
        raise _damaged(error) from error


def _damaged(error: Exception) -> UnreadablePicture:
    return UnreadablePicture(f"the picture is damaged or cut short ({error})")


def _check_complete(image: Image.Image, other: bytes) -> None:
    """Check that a JPEG without an end marker has all of its pixels.

    Raises:
        UnreadablePicture: other bits behind its last scan change its pixels.
    """
    with Image.open(BytesIO(other), formats=("JPEG",)) as changed:
        digest = _digest(changed)
    if digest != _digest(image):
        raise UnreadablePicture("the picture is cut short")


def _digest(image: Image.Image) -> bytes:
    """Hash the pixels, band after band, so that they are not copied as a whole."""
    image.load()
    digest = hashlib.blake2b()
    for top in range(0, image.height, _BAND_ROWS):
        bottom = min(top + _BAND_ROWS, image.height)
        digest.update(image.crop((0, top, image.width, bottom)).tobytes())
    return digest.digest()
