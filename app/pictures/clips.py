"""Decode the frames of a clip that somebody sent, within the service's limits.

As `app.pictures.decode` does with pictures; each frame is made as small as the encoder wants it
before the next is decoded.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PIL import Image

from app.pictures.decode import picture_errors
from model.pictures import formats
from model.pictures.clips import Frame, OpenedClip, open_clip
from model.pictures.decode import Limits
from model.pictures.formats import SUFFIXES, VIDEO_SUFFIXES, identify_video

__all__ = [
    "DecodedClip",
    "clip_suffixes",
    "decode_clip",
    "is_video",
    "open_clip_upload",
]

_MAX_SECONDS = 30.0  # of one core, to decode one clip
_MAX_MEMORY = 640e6  # bytes


@dataclass(frozen=True)
class DecodedClip:
    """The frames of a clip, with the format of its file and what it says of itself.

    Attributes:
        frames: upright and in RGB, resized.
        format: Pillow's name of it, `MP4` or `WebM`.
        width, height: of the first frame, upright.
        length: how many frames or pages the file has.
        duration: in seconds; None if it has none.
    """

    frames: Sequence[Frame]
    format: str
    width: int
    height: int
    length: int
    duration: float | None


def clip_suffixes() -> frozenset[str]:
    """Return the suffixes of pictures, and where they are read of films."""
    return SUFFIXES | VIDEO_SUFFIXES if formats.HAS_VIDEO else SUFFIXES


def is_video(data: bytes) -> bool:
    """Whether a file is a film, which is always a clip.

    Raises:
        UnsupportedImage: it is one, and the extra that reads it is not installed.
    """
    kind = identify_video(data)
    if kind is not None and not formats.HAS_VIDEO:
        with picture_errors():
            formats.identify(data)  # says what to install
    return kind is not None


def open_clip_upload(data: bytes, frames: int, max_pixels: int) -> OpenedClip:
    """Read the headers of a clip.

    Args:
        data: the whole file.
        frames: how many to take of it, see `open_clip`.
        max_pixels: the largest width x height of a frame.

    Raises:
        PictureError: as `app.pictures.decode.open_upload` does.
    """
    with picture_errors():
        return open_clip(data, frames, Limits(max_pixels, _MAX_SECONDS, _MAX_MEMORY))


def decode_clip(
    opened: OpenedClip, shrink: Callable[[Image.Image], Image.Image] = lambda image: image
) -> DecodedClip:
    """Decode the frames of a clip whose headers have been read, and resize each with `shrink`.

    Raises:
        PictureError: the file is damaged or cut short, or takes too long.
    """
    frames: list[Frame] = []
    size = opened.size
    with picture_errors():
        for frame in opened.frames():
            if not frames and frame.image.size == size[::-1]:  # it was stored on its side
                size = frame.image.size
            frames.append(frame._replace(image=shrink(frame.image)))
    return DecodedClip(frames, opened.format, *size, opened.length, opened.duration)
