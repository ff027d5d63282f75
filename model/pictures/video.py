"""Frames of a film, by PyAV (FFmpeg's libraries), the extra `video`.

The packets are listed first, without decoding: they say when each frame is shown, and from which
key frame it can be decoded. Nothing but the bytes is read: the container's format is fixed, since
others could name files and addresses to open, and so are the codecs.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from io import BytesIO
from itertools import pairwise
from typing import Any, NamedTuple

import av
from PIL import Image

from model.pictures.errors import CostlyPicture, UnreadablePicture, UnsupportedPicture
from model.pictures.timeline import MAX_LENGTH, Timeline

__all__ = ["Video", "open_video"]

_DEMUXERS = {"MP4": "mov", "WebM": "matroska"}
_CODECS = "h264,hevc,vp8,vp9,libdav1d,av1,mpeg4,mpeg1video,mpeg2video,mjpeg,prores,h263"
_OPTIONS = {"codec_whitelist": _CODECS, "enable_drefs": "0", "use_absolute_path": "0"}

_CUT_SHORT = "the clip is damaged or cut short"


class _Packet(NamedTuple):
    pts: int  # in units of the stream's time base
    duration: int
    is_key: bool


class Video:
    """An opened film.

    Attributes:
        size: width and height of a frame as it is stored.
        timeline: when its frames are shown.
    """

    def __init__(self, container: Any, stream: Any, packets: Sequence[_Packet]) -> None:
        self._container, self._stream = container, stream
        self._pts = [packet.pts for packet in packets]
        self._keys = [i for i, packet in enumerate(packets) if packet.is_key] or [0]
        base = float(stream.time_base)
        last = max(packets[-1].duration, 1)
        ticks = [*(after - before for before, after in pairwise(self._pts)), last]
        self.timeline = Timeline([tick * base for tick in ticks])
        self.size = (stream.codec_context.width, stream.codec_context.height)

    def steps(self, chosen: Sequence[tuple[int, int]]) -> int:
        """Return how many frames are decoded to have the chosen ones, about."""
        steps, at = 0, -1
        for index, _ in chosen:
            at = max(at, self._key(index) - 1)
            steps += max(0, index - at)
            at = max(at, index)
        return steps

    def decode(
        self, chosen: Sequence[tuple[int, int]]
    ) -> Iterator[tuple[Image.Image, int, int] | None]:
        """Yield the chosen frames as pictures, with index and weight; None for others on the way.

        Raises:
            UnreadablePicture: a frame is missing.
        """
        at = -1
        frames: Iterator[Any] = iter(())
        for index, weight in chosen:
            if at < 0 or self._key(index) > at:
                self._container.seek(self._pts[self._key(index)], stream=self._stream)
                frames = self._container.decode(self._stream)
            for frame in frames:
                if frame.pts is not None and frame.pts >= self._pts[index]:
                    yield _upright(frame), index, weight
                    break
                yield None
            else:
                raise UnreadablePicture(_CUT_SHORT)
            at = index

    def _key(self, index: int) -> int:
        """Return the key frame from which a frame can be decoded."""
        return self._keys[max(0, bisect_right(self._keys, index) - 1)]


def open_video(data: bytes, kind: str) -> Video:
    """Open a film and list its frames.

    Args:
        data: the whole file.
        kind: `MP4` or `WebM`, see `identify_video`.

    Raises:
        UnsupportedPicture: it has no pictures, or is of a codec that is not read.
        CostlyPicture: it has too many frames.
        UnreadablePicture: it is damaged or cut short.
    """
    try:
        container = av.open(BytesIO(data), format=_DEMUXERS[kind], options=_OPTIONS)
        stream = next(iter(container.streams.video), None)
        if stream is None:
            raise UnsupportedPicture(f"the {kind} has no pictures: send one with a video track")
        context = stream.codec_context
        if context is None or context.name not in _CODECS.split(","):
            raise UnsupportedPicture(
                f"the {kind} is of a codec that is not read: save it anew, for example as H.264"
            )
        context.thread_count = 1  # for each takes memory
        packets = _list_packets(container, stream)
    except (UnreadablePicture, MemoryError):
        raise
    except Exception as error:
        raise UnreadablePicture(f"{_CUT_SHORT} ({error})") from error
    return Video(container, stream, packets)


def _list_packets(container: Any, stream: Any) -> list[_Packet]:
    packets = []
    for packet in container.demux(stream):
        if packet.pts is not None:  # as the one has that ends the stream
            packets.append(_Packet(packet.pts, packet.duration or 0, packet.is_keyframe))
        if len(packets) > MAX_LENGTH:
            raise CostlyPicture(f"the clip has more than {MAX_LENGTH:,} frames: send a shorter one")
    if not packets or len(packets) < stream.frames:  # declared, where the container does so
        raise UnreadablePicture(_CUT_SHORT)
    return sorted(set(packets))


def _upright(frame: Any) -> Image.Image:
    image: Image.Image = frame.to_image()
    # Telephones store films as the sensor sees them, and say how to turn them.
    return image.rotate(frame.rotation, expand=True) if frame.rotation else image
