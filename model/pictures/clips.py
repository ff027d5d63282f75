"""Frames of an animated picture, of the pages of a TIFF, or of a film, spread over it.

    for frame in open_clip(data, 8, Limits()).frames():
        print(frame.seconds, frame.image)

As `model.pictures.decode` does with pictures: opening reads headers, refuses what is over a limit
and says what decoding will cost. Frames come one by one, so that no more than one of full size is
in memory.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from typing import NamedTuple

from PIL import Image

from model.pictures import formats
from model.pictures.cost import Cost, estimate_clip_cost, estimate_cost
from model.pictures.decode import Limits, OpenedPicture, open_picture
from model.pictures.errors import CostlyPicture, UnreadablePicture, UnsupportedPicture
from model.pictures.formats import identify, identify_video
from model.pictures.png import clean_png
from model.pictures.tiff import read_pages
from model.pictures.timeline import MAX_LENGTH, Timeline, read_gif, read_png, read_webp
from model.pictures.upright import upright_rgb

__all__ = ["Frame", "OpenedClip", "open_clip"]


class Frame(NamedTuple):
    """A frame of a clip, upright and in RGB.

    Attributes:
        number: its place among the frames or pages of the clip, from 0.
        seconds: when it begins; None if it is a page.
        weight: how many of the moments that were asked for it is shown at.
    """

    image: Image.Image
    number: int
    seconds: float | None
    weight: int = 1


@dataclass(frozen=True)
class OpenedClip:
    """A file whose headers have been read, and whose frames have been chosen.

    Attributes:
        format: Pillow's name of the file's format, `MP4` or `WebM`.
        size: width and height of a frame as it is stored, or of the first page.
        length: how many frames or pages the file has; 1 is a still picture.
        duration: in seconds; None if its frames say nothing of it.
        cost: what decoding the chosen frames is expected to take.
    """

    format: str
    size: tuple[int, int]
    length: int
    duration: float | None
    cost: Cost
    _limits: Limits = field(repr=False)
    _decode: Callable[[], Iterator[Frame | None]] = field(repr=False)

    def frames(self) -> Iterator[Frame]:
        """Decode the chosen frames, in order; call it once.

        Raises:
            CostlyPicture: it takes longer than the limits allow, or there is too little memory.
            UnreadablePicture: the clip is damaged or cut short.
        """
        end = time.monotonic() + self._limits.seconds
        with _decoder_errors():
            for frame in self._decode():
                if frame is not None:
                    yield frame
                if time.monotonic() > end:
                    raise _too_slow(self._limits)


def open_clip(data: bytes, count: int, limits: Limits) -> OpenedClip:
    """Read the headers of a clip, choose `count` frames, and refuse what is over a limit.

    Read are GIF, WebP, PNG and AVIF animations, TIFFs of several pages, and with the extra `video`
    films (MP4, QuickTime, WebM, Matroska). Any other picture is a clip of one frame, and so is a
    file with a single one.

    Args:
        data: the whole file.
        count: how many moments to spread over it, see `Timeline.choose`. A frame that is shown at
            several of them comes once.
        limits: of each frame's pixels, and of the time and memory of all.

    Raises:
        UnreadablePicture: as `open_picture` does.
    """
    if (kind := identify_video(data)) is not None:
        return _open_video(data, kind, count, limits)
    name = identify(data)
    clip = None
    if count > 1 and name in _OPENERS:
        with _decoder_errors():
            clip = _OPENERS[name](data, count, limits)
    return clip or _still(open_picture(data, limits), limits)


def _still(picture: OpenedPicture, limits: Limits) -> OpenedClip:
    def decode() -> Iterator[Frame]:
        yield Frame(picture.decode(), 0, None)

    return OpenedClip(picture.format, picture.size, 1, None, picture.cost, limits, decode)


def _open_animation(
    data: bytes,
    count: int,
    limits: Limits,
    name: str,
    read: Callable[[bytes], Timeline],
) -> OpenedClip | None:
    """Open a GIF, WebP or PNG, whose frames build upon each other; None if it has one alone."""
    if name == "PNG":
        data = clean_png(data, animated=True)
    timeline = read(data)
    length = len(timeline.durations)
    if length < 2:
        return None
    image = _open_image(data, name)
    size = (max(image.width, timeline.extent[0]), max(image.height, timeline.extent[1]))
    limits.check(size)
    chosen = timeline.choose(count)
    decoded = timeline.first + chosen[-1][0] + 1
    cost = estimate_clip_cost(size, name, len(data), decoded)
    _check_cost(cost, limits)

    def decode() -> Iterator[Frame | None]:
        weights, starts = dict(chosen), timeline.starts
        for number in range(decoded):
            image.seek(number)
            index = number - timeline.first
            if index in weights:
                # A copy: the next frame is drawn over this one.
                yield Frame(_upright_copy(image), index, starts[index], weights[index])
            else:
                image.load()
                yield None

    return OpenedClip(name, size, length, timeline.duration, cost, limits, decode)


def _open_avif(data: bytes, count: int, limits: Limits) -> OpenedClip | None:
    """Open an AVIF sequence, spread by number: the times of frames come with their pixels."""
    still = open_picture(data, limits)
    image = _open_image(data, "AVIF")
    length: int = getattr(image, "n_frames", 1)
    if not 2 <= length <= MAX_LENGTH:
        return None
    chosen = Timeline([1.0] * length).choose(count)
    # A frame may build on all before it.
    cost = estimate_clip_cost(still.size, "AVIF", len(data), chosen[-1][0] + 1)
    _check_cost(cost, limits)

    def decode() -> Iterator[Frame]:
        for index, weight in chosen:
            image.seek(index)
            picture = _upright_copy(image)
            yield Frame(picture, index, image.info["timestamp"] / 1000, weight)

    return OpenedClip("AVIF", still.size, length, None, cost, limits, decode)


def _open_tiff(data: bytes, count: int, limits: Limits) -> OpenedClip | None:
    """Open a TIFF of several pages; each counts as long as any other."""
    directories = read_pages(data)
    pages = [number for number, directory in enumerate(directories) if directory.is_page]
    if len(pages) < 2:
        return None
    image = _open_image(data, "TIFF")
    limits.check(image.size)
    size = image.size
    chosen = Timeline([1.0] * len(pages)).choose(count)
    costs = []
    for index, _ in chosen:
        directory = directories[pages[index]]
        if not directory.is_compression_read:
            raise UnsupportedPicture(
                f"this kind of TIFF is not read: page {index + 1} is {directory.describe()}"
            )
        image.seek(pages[index])
        limits.check(image.size)
        costs.append(estimate_cost(image, "TIFF", len(data), turned=True, tiff=directory))
    cost = Cost(sum(one.seconds for one in costs), max(one.memory for one in costs))
    _check_cost(cost, limits)

    def decode() -> Iterator[Frame]:
        for index, weight in chosen:
            image.seek(pages[index])
            yield Frame(_upright_copy(image), index, None, weight)

    return OpenedClip("TIFF", size, len(pages), None, cost, limits, decode)


def _open_video(data: bytes, kind: str, count: int, limits: Limits) -> OpenedClip:
    if not formats.HAS_VIDEO:
        formats.identify(data)  # says what to install
    from model.pictures.video import open_video  # noqa: PLC0415 - PyAV is an extra

    video = open_video(data, kind)
    limits.check(video.size)
    chosen = video.timeline.choose(count)
    cost = estimate_clip_cost(video.size, kind, len(data), video.steps(chosen))
    _check_cost(cost, limits)

    def decode() -> Iterator[Frame | None]:
        for found in video.decode(chosen):
            if found is None:
                yield None
                continue
            image, index, weight = found
            yield Frame(image, index, video.timeline.starts[index], weight)

    length = len(video.timeline.durations)
    return OpenedClip(kind, video.size, length, video.timeline.duration, cost, limits, decode)


def _check_cost(cost: Cost, limits: Limits) -> None:
    if cost.seconds > limits.seconds:
        raise _too_slow(limits)
    if cost.memory > limits.memory:
        raise CostlyPicture(
            f"the clip would take more than {limits.memory / 1e6:.0f} MB of memory to decode: "
            "send it with smaller frames"
        )


def _too_slow(limits: Limits) -> CostlyPicture:
    return CostlyPicture(
        f"the clip takes more than {limits.seconds:g} seconds to decode: send a shorter or a "
        "smaller one"
    )


def _open_image(data: bytes, name: str) -> Image.Image:
    return Image.open(BytesIO(data), formats=(name,))


@contextmanager
def _decoder_errors() -> Iterator[None]:
    """Turn what decoders raise on bad bytes, which is nearly anything, into `UnreadablePicture`."""
    try:
        yield
    except UnreadablePicture:
        raise
    except MemoryError as error:
        raise CostlyPicture("there is not enough memory to decode the clip") from error
    except Exception as error:
        raise UnreadablePicture(f"the clip is damaged or cut short ({error})") from error


def _upright_copy(image: Image.Image) -> Image.Image:
    picture = upright_rgb(image)
    return picture.copy() if picture is image else picture


_OPENERS: dict[str, Callable[[bytes, int, Limits], OpenedClip | None]] = {
    "GIF": partial(_open_animation, name="GIF", read=read_gif),
    "WEBP": partial(_open_animation, name="WEBP", read=read_webp),
    "PNG": partial(_open_animation, name="PNG", read=read_png),
    "AVIF": _open_avif,
    "TIFF": _open_tiff,
}
