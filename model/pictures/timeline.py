"""When each frame of a GIF, WebP or PNG animation is shown, read from the file without decoding.

Choosing the frames first means that none is decoded twice, and that the cost of all is known before
the first.
"""

import math
import struct
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from model.pictures.errors import CostlyPicture, UnreadablePicture

__all__ = ["MAX_LENGTH", "Timeline", "read_gif", "read_png", "read_webp", "shown_for"]

MAX_LENGTH = 100_000  # frames

# As browsers do: what asks for 10 ms or less, or for nothing at all, is shown for a tenth of a
# second.
_LEAST_DURATION, _USUAL_DURATION = 0.011, 0.1

_CUT_SHORT = "the clip is damaged or cut short"


@dataclass(frozen=True)
class Timeline:
    """How long each frame is shown.

    Attributes:
        durations: of each frame, in seconds; of pages, which have none, 1.
        first: Pillow's number of the first frame.
        extent: width and height of what the frames cover, if they say.
    """

    durations: Sequence[float]
    first: int = 0
    extent: tuple[int, int] = (0, 0)

    @property
    def starts(self) -> list[float]:
        """When each frame begins, in seconds from the first."""
        return [0.0, *(round(end, 3) for end in accumulate(self.durations))][:-1]

    @property
    def duration(self) -> float:
        """How long the clip is, in seconds."""
        return round(math.fsum(self.durations), 3)

    def choose(self, count: int) -> list[tuple[int, int]]:
        """Spread `count` moments over the clip, and return the frames that are shown then.

        The moments are the middles of `count` equal parts (as in temporal segment networks, Wang et
        al. 2016): a clip's first and last frames are often black, or a title. A single one is the
        first frame.

        Returns:
            Each frame's index, in order, and how many of the moments it is shown at.
        """
        if count == 1 or len(self.durations) == 1:
            return [(0, 1)]
        # Rounded, so that what happens at the same time compares as equal.
        ends = [round(end, 6) for end in accumulate(self.durations)]
        moments = [round((part + 0.5) / count * ends[-1], 6) for part in range(count)]
        last = len(ends) - 1
        return sorted(Counter(min(bisect_right(ends, moment), last) for moment in moments).items())


def shown_for(seconds: float) -> float:
    """Return how long a frame is shown that asks for so many seconds."""
    return seconds if seconds >= _LEAST_DURATION else _USUAL_DURATION


def read_gif(data: bytes) -> Timeline:
    """Read the frames of a GIF.

    Raises:
        UnreadablePicture: a frame is cut short.
        CostlyPicture: it has too many frames or blocks.
    """
    durations: list[float] = []
    width = height = 0
    delay = 0
    most = 10_000 + len(data) // 64  # blocks; encoders fill all but the last of a frame
    try:
        place = 13 + _colour_table(data[10])
        while place < len(data) and data[place] != ord(";"):
            if data[place] == ord("!"):
                if data[place + 1] == 0xF9:
                    (delay,) = struct.unpack_from("<H", data, place + 4)
                place, most = _skip_blocks(data, place + 2, most)
            elif data[place] == ord(","):
                left, top, across, down, flags = struct.unpack_from("<4HB", data, place + 1)
                width, height = max(width, left + across), max(height, top + down)
                place, most = _skip_blocks(data, place + 11 + _colour_table(flags), most)
                durations.append(shown_for(delay / 100))
                _check_length(durations)
                delay = 0
            else:  # as Pillow does with what should not be there
                place += 1
    except (IndexError, struct.error) as error:
        raise UnreadablePicture(_CUT_SHORT) from error
    return Timeline(durations, extent=(width, height))


def _colour_table(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _skip_blocks(data: bytes, place: int, most: int) -> tuple[int, int]:
    """Return the place behind a chain of blocks, and how many more there may be."""
    while length := data[place]:
        place += length + 1
        most -= 1
    if most < 0:
        raise CostlyPicture("the clip consists of too many tiny blocks: save it anew")
    return place + 1, most


def read_webp(data: bytes) -> Timeline:
    """Read the frames of a WebP; a still one has none.

    Raises:
        UnreadablePicture: a frame is cut short.
        CostlyPicture: it has too many frames.
    """
    durations: list[float] = []
    place = 12
    while place + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, place)
        if kind == b"ANMF":
            if length < 16 or place + 8 + length > len(data):
                raise UnreadablePicture(_CUT_SHORT)
            milliseconds = int.from_bytes(data[place + 20 : place + 23], "little")
            durations.append(shown_for(milliseconds / 1000))
            _check_length(durations)
        place += 8 + length + length % 2
    if place > len(data) + 1:
        raise UnreadablePicture(_CUT_SHORT)
    return Timeline(durations)


def read_png(data: bytes) -> Timeline:
    """Read the frames of a PNG, see `clean_png`; a still one has none.

    Its default picture is a frame only if its duration comes before it.

    Raises:
        UnreadablePicture: there are fewer frames than it declares.
        CostlyPicture: it has too many frames.
    """
    durations: list[float] = []
    declared, first, seen_pixels = 0, 0, False
    place = 8
    while place + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        if kind == b"acTL" and length >= 8 and not seen_pixels:
            (declared,) = struct.unpack_from(">I", data, place + 8)
        elif kind == b"fcTL" and length >= 26:
            counter, denominator = struct.unpack_from(">HH", data, place + 28)
            durations.append(shown_for(counter / (denominator or 100)))
            _check_length(durations)
        elif kind == b"IDAT" and not seen_pixels:
            seen_pixels, first = True, 0 if durations else 1
        place += length + 12
    if not declared:
        return Timeline([])
    if len(durations) < declared:
        raise UnreadablePicture(_CUT_SHORT)
    return Timeline(durations[:declared], first)


def _check_length(durations: Sequence[float]) -> None:
    if len(durations) > MAX_LENGTH:
        raise CostlyPicture(f"the clip has more than {MAX_LENGTH:,} frames: send a shorter one")
