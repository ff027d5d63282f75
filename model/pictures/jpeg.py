"""Look into a JPEG before it is decoded: its kind, its scans and its end.

Segments that no pixel needs are left out, so that nothing in them can be an error.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from model.pictures.errors import UnreadablePicture, UnsupportedPicture

__all__ = ["Jpeg", "read_jpeg"]

_SOS, _EOI = 0xDA, 0xD9
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = {0xC2, 0xCA}
_UNREAD_KINDS = {
    **dict.fromkeys((0xC3, 0xCB), "lossless JPEG"),
    **dict.fromkeys((0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF), "hierarchical JPEG"),
    0xF7: "JPEG-LS",
}

_METADATA = {*range(0xE0, 0xF0), 0xFE}
# What a picture's colours, or which side is up, depend on.
_NEEDED_METADATA = {0xE0: b"JFIF", 0xE1: b"Exif\0\0", 0xE2: b"ICC_PROFILE\0", 0xEE: b"Adobe"}

# In a scan, FF is followed by 00 or by a restart marker; before a marker, it may be repeated.
_MARKER = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])", re.DOTALL)

_END = b"\xff\xd9"
# Bits for where a scan would go on. The decoder takes zeros there; these begin with a one.
_FILLER = b"\xe7\x55\xaa" * 70
_ZEROS = bytes(64)  # as an interrupted download leaves at the end


@dataclass
class Jpeg:
    """What the markers of a JPEG say.

    Attributes:
        data: the file without metadata that no pixel needs, and with an end marker.
        other: the same with other bits behind the last scan, if the end marker was missing. If
            all of the picture is there, both give the same pixels.
        scans: how often the decoder goes over the whole picture.
        components: how many planes the picture has.
        progressive: whether all coefficients are held in memory.
    """

    data: bytes
    other: bytes | None = None
    scans: int = 0
    components: int = 3
    progressive: bool = False
    _bands: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set))

    def _read_frame(self, marker: int, segment: bytes) -> None:
        self.progressive = marker in _PROGRESSIVE
        self.components = segment[5]
        if segment[0] != 8:
            raise UnsupportedPicture(f"this kind of JPEG is not read: {segment[0]} bits, not 8")

    def _read_scan(self, segment: bytes) -> int:
        """Note what a scan brings to its last bit; return of how many components."""
        self.scans += 1
        count = segment[0]
        first, last, bits = segment[1 + 2 * count : 4 + 2 * count]
        if bits & 15 == 0:
            for component in segment[1 : 1 + 2 * count : 2]:
                self._bands[component].update(range(first, last + 1))
        return count

    def _is_complete(self) -> bool:
        full = [bands for bands in self._bands.values() if len(bands) == 64]
        return len(full) == self.components


class _Segment(NamedTuple):
    marker: int
    begin: int  # of its marker
    start: int  # of its contents
    stop: int


def read_jpeg(data: bytes) -> Jpeg:
    """Read the markers of a JPEG, as libjpeg does, so that no scan escapes being counted.

    Raises:
        UnsupportedPicture: it is of a kind that is not read, such as 12-bit or lossless.
        UnreadablePicture: the markers make no sense, or scans are missing.
    """
    try:
        return _read(data)
    except (IndexError, ValueError) as error:
        raise UnreadablePicture(f"the picture is damaged or cut short ({error})") from error


def _read(data: bytes) -> Jpeg:
    jpeg, kept = Jpeg(data), [data[:2]]
    for segment in _segments(data, 2):
        contents = data[segment.start : segment.stop]
        if segment.marker in _UNREAD_KINDS:
            kind = _UNREAD_KINDS[segment.marker]
            raise UnsupportedPicture(f"this kind of JPEG is not read: {kind}")
        if segment.marker in _FRAMES:
            jpeg._read_frame(segment.marker, contents)
        if segment.marker == _SOS:
            break
        if segment.marker not in _METADATA or contents.startswith(
            _NEEDED_METADATA.get(segment.marker, _END)
        ):
            kept.append(data[segment.begin : segment.stop])
    else:
        raise ValueError("no scan")
    whole = jpeg._read_scan(contents) == jpeg.components and not jpeg.progressive
    ended = whole and data.endswith(_END)
    if not ended:  # many scans, or bytes behind the end
        ended = _read_scans(jpeg, data, segment.stop)
    kept.append(data[segment.begin :])
    if not ended and (not jpeg._is_complete() or data.endswith(_ZEROS)):
        raise UnreadablePicture("the picture is cut short")
    if not ended:
        kept[-1] = kept[-1].rstrip(b"\xff")
        jpeg.other = b"".join((*kept, _FILLER, _END))
        kept.append(_END)
    jpeg.data = b"".join(kept)
    return jpeg


def _read_scans(jpeg: Jpeg, data: bytes, place: int) -> bool:
    """Read the headers of the scans after the first; return whether there is an end marker."""
    for segment in _segments(data, place):
        if segment.marker == _EOI:
            return True
        if segment.marker == _SOS:
            jpeg._read_scan(data[segment.start : segment.stop])
    return False


def _segments(data: bytes, place: int) -> Iterator[_Segment]:
    """Yield marker after marker, from a place on.

    Raises:
        ValueError: the file ends within a segment.
    """
    while (found := _MARKER.search(data, place)) is not None:
        marker, place = found[1][0], found.end()
        if marker in {0x01, 0xD8, _EOI}:  # these stand alone
            yield _Segment(marker, found.start(), place, place)
            continue
        length = int.from_bytes(data[place : place + 2], "big")
        if length < 2 or place + length > len(data):
            raise ValueError("the file ends within a segment")
        yield _Segment(marker, found.start(), place + 2, place + length)
        place += length
