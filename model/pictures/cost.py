"""Estimate what decoding a picture takes, from its header.

The figures were measured with Pillow 13 on one core of a small cloud machine, and rounded up.
"""

from dataclasses import dataclass

from PIL import Image

from model.pictures.jpeg import Jpeg
from model.pictures.tiff import Tiff

__all__ = ["Cost", "estimate_clip_cost", "estimate_cost"]

# Nanoseconds a pixel, of three channels of 8 bits.
_NANOSECONDS = {
    "JPEG": 10.0,
    "PNG": 45.0,
    "WEBP": 45.0,
    "GIF": 20.0,
    "BMP": 10.0,
    "TIFF": 40.0,
    "AVIF": 60.0,
    "HEIF": 100.0,
    "MP4": 25.0,
    "WebM": 25.0,
}
_NANOSECONDS_A_SCAN = 2.0  # a pixel of each scan of a progressive JPEG, however little it brings
_SECONDS_A_PART = 4e-6  # of a TIFF's strips
_SCANS_IN_TIFF = 20  # which cannot be seen from outside; libtiff refuses 100

# Pillow decodes the run lengths of a BMP in Python.
_RUN_LENGTHS = {1, 2}
_SECONDS_A_RUN = 0.4e-6  # a byte
_SECONDS_A_RUN_PIXEL = 0.15e-6

# Bytes a pixel beside Pillow's own picture, which the decoder holds.
_DECODER_BYTES = {
    **{"WEBP": 12.0, "AVIF": 8.0, "HEIF": 8.0},
    **{"MP4": 24.0, "WebM": 24.0},  # a frame may refer to 16 others
}
_CLIP_BYTES = 16.0  # a frame, the one before it, what is drawn over it and the result
_SECONDS_A_FRAME = 1e-4
_PILLOW_BYTES = {"1": 1.0, "L": 1.0, "P": 1.0, "I;16": 2.0, "I;16B": 2.0}

_COMPRESSION, _JPEG_IN_TIFF = 259, 7


@dataclass(frozen=True)
class Cost:
    """What decoding a picture is expected to take: seconds of one core, and bytes of memory."""

    seconds: float
    memory: float


def estimate_cost(
    image: Image.Image,
    name: str,
    length: int,
    *,
    turned: bool,
    jpeg: Jpeg | None = None,
    tiff: Tiff | None = None,
) -> Cost:
    """Estimate the cost of decoding an opened picture to upright RGB.

    Args:
        image: opened, but not decoded.
        name: of its format.
        length: the file's, in bytes.
        turned: whether it will be turned upright.
        jpeg: what `read_jpeg` found in it.
        tiff: what `read_tiff` found in it.
    """
    pixels = image.width * image.height
    nanoseconds, held = _NANOSECONDS[name], _DECODER_BYTES.get(name, 0.0)
    seconds = 0.0
    if jpeg is not None and jpeg.scans > 1:
        nanoseconds += jpeg.scans * _NANOSECONDS_A_SCAN
        held = 2.0 * jpeg.components  # all coefficients
    if jpeg is not None and jpeg.other is not None:
        nanoseconds *= 2
    if tiff is not None:
        seconds = tiff.parts * _SECONDS_A_PART
        if tiff.entries.get(_COMPRESSION) == _JPEG_IN_TIFF:
            nanoseconds += _SCANS_IN_TIFF * _NANOSECONDS_A_SCAN
    if name == "BMP" and image.info.get("compression") in _RUN_LENGTHS:
        seconds = length * _SECONDS_A_RUN + pixels * _SECONDS_A_RUN_PIXEL
    if image.mode not in {"RGB", "L", "P", "1"}:
        nanoseconds *= 2  # deep, or with transparency
    source = _PILLOW_BYTES.get(image.mode, 4.0)
    result = 0.0 if image.mode == "RGB" else 4.0
    memory = pixels * max(source + max(held, result), 8.0 if turned else 4.0)
    return Cost(seconds + pixels * nanoseconds * 1e-9, memory + length)


def estimate_clip_cost(size: tuple[int, int], name: str, length: int, frames: int) -> Cost:
    """Estimate the cost of decoding the frames of a clip, which are drawn one over the other.

    Args:
        size: width and height of a frame.
        name: of the file's format.
        length: the file's, in bytes.
        frames: how many are decoded, those included that only others build on.
    """
    pixels = size[0] * size[1]
    seconds = frames * (_SECONDS_A_FRAME + pixels * _NANOSECONDS[name] * 1e-9)
    return Cost(seconds, pixels * (_CLIP_BYTES + _DECODER_BYTES.get(name, 0.0)) + length)
