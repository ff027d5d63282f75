"""Look into the first directory of a TIFF before Pillow does: bounds, and the kind of picture."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from model.pictures.errors import CostlyPicture, UnreadablePicture

__all__ = ["Tiff", "read_pages", "read_tiff"]

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_SUBFILE = 254
_REDUCED_OR_MASK = 1 | 4  # bits of a directory's kind: a smaller copy of a page, or its mask
_STRIPS, _SAMPLES, _TILE_WIDTH, _TILE_HEIGHT, _TILES, _FORMAT = 273, 277, 322, 323, 324, 339

# Of the integer types, as `struct` has them; sizes are never negative.
_CODES = {1: "B", 3: "H", 4: "I", 6: "B", 8: "H", 9: "I", 13: "I", 16: "Q", 17: "Q", 18: "Q"}
_MAX_ENTRIES = 1000
_MAX_PAGES = 10_000
_MAX_ALL_ENTRIES = 200_000  # of all pages
_MAX_PARTS = 300_000  # strips or tiles: one a row, each plane of its own

_COMPRESSIONS = {
    1: "uncompressed",
    **dict.fromkeys((2, 3, 4, 32771), "fax"),
    5: "LZW",
    **dict.fromkeys((6, 7), "JPEG"),
    **dict.fromkeys((8, 32946), "Deflate"),
    32773: "PackBits",
    32809: "ThunderScan",
    **dict.fromkeys((34676, 34677), "SGI log"),
    34925: "LZMA",
    50000: "Zstandard",
}
_UNREAD_COMPRESSIONS = {34712: "JPEG 2000", 50001: "WebP", 50002: "JPEG XL", 34661: "JBIG"}
_PHOTOMETRICS = {0: "grey, white is zero", 1: "grey", 2: "RGB", 3: "palette", 5: "CMYK", 6: "YCbCr"}
_FORMATS = {1: "unsigned integers", 2: "signed integers", 3: "floating point", 6: "complex"}


@dataclass
class Tiff:
    """What a TIFF's first directory says.

    Attributes:
        entries: the first value of each integer entry, by its tag.
        parts: how many strips or tiles the picture is cut into.
    """

    entries: dict[int, int] = field(default_factory=dict)
    parts: int = 0

    @property
    def is_page(self) -> bool:
        """Whether it is a page, and not a smaller copy of one or its mask."""
        return not self.entries.get(_SUBFILE, 0) & _REDUCED_OR_MASK

    @property
    def is_compression_read(self) -> bool:
        """Whether Pillow's libtiff knows the compression."""
        return self.entries.get(_COMPRESSION, 1) in _COMPRESSIONS

    def describe(self) -> str | None:
        """Name the kind of picture; None if what the entries say makes no sense."""
        entry = self.entries.get
        bits, kind, samples = entry(_BITS, 1), entry(_FORMAT, 1), entry(_SAMPLES, 1)
        sensible = kind in _FORMATS and 1 <= bits <= 64 and 1 <= samples <= 64
        if not (sensible and entry(_WIDTH) and entry(_HEIGHT)):
            return None
        colours = _PHOTOMETRICS.get(entry(_PHOTOMETRIC, -1), "other colours")
        names = _COMPRESSIONS | _UNREAD_COMPRESSIONS
        compression = names.get(entry(_COMPRESSION, 1), "another compression")
        return f"{colours}, {samples} x {bits} bits, {_FORMATS[kind]}, {compression}"


def read_tiff(data: bytes) -> Tiff:
    """Read the entries of the first directory, and check that the picture is no trap.

    Raises:
        UnreadablePicture: there is no directory, or it is cut short.
        CostlyPicture: it has more entries, strips or tiles than a picture can need, or tiles far
            larger than the picture.
    """
    return next(_directories(data))


def read_pages(data: bytes) -> list[Tiff]:
    """Read the entries of all directories, in the file's order, see `read_tiff`.

    Raises:
        UnreadablePicture, CostlyPicture: as in `read_tiff`, or there are too many.
    """
    pages: list[Tiff] = []
    entries = 0
    for page in _directories(data):
        entries += len(page.entries)
        if len(pages) == _MAX_PAGES or entries > _MAX_ALL_ENTRIES:
            raise CostlyPicture(f"the picture has more than {len(pages)} pages: send fewer")
        pages.append(page)
    return pages


def _directories(data: bytes) -> Iterator[Tiff]:
    order = "<" if data[:2] == b"II" else ">"
    big = 43 in data[2:4]
    address = order + ("Q" if big else "I")
    seen = {0}
    try:
        (place,) = struct.unpack_from(address, data, 8 if big else 4)
        while place not in seen or len(seen) == 1:
            seen.add(place)
            entries, end = _read_directory(data, place, order, big=big)
            yield _checked(entries)
            (place,) = struct.unpack_from(address, data, end)
    except struct.error as error:
        raise UnreadablePicture("the picture's TIFF header is damaged or cut short") from error


def _checked(entries: list[tuple[int, int, int]]) -> Tiff:
    tiff = Tiff()
    for tag, count, value in entries:
        # Of entries that come twice, readers take either.
        tiff.entries[tag] = max(value, tiff.entries.get(tag, 0))
        if tag in {_STRIPS, _TILES}:
            tiff.parts = max(tiff.parts, count)
    if tiff.parts > _MAX_PARTS:
        raise CostlyPicture(f"the picture has {tiff.parts} strips: at most {_MAX_PARTS} are read")
    tile = tiff.entries.get(_TILE_WIDTH, 0) * tiff.entries.get(_TILE_HEIGHT, 0)
    pixels = tiff.entries.get(_WIDTH, 0) * tiff.entries.get(_HEIGHT, 0)
    if tile > 4 * pixels + 1_048_576:
        raise CostlyPicture("the picture's tiles are far larger than the picture")
    return tiff


def _read_directory(
    data: bytes, place: int, order: str, *, big: bool
) -> tuple[list[tuple[int, int, int]], int]:
    """Return tag, number of values and first value of each entry; and where the directory ends.

    Raises:
        struct.error: the file ends before it.
    """
    head, entry = ("Q", "HHQ8s") if big else ("H", "HHI4s")
    (entries,) = struct.unpack_from(order + head, data, place)
    place += 8 if big else 2
    if entries > _MAX_ENTRIES:
        raise CostlyPicture(f"the picture has {entries} entries: at most {_MAX_ENTRIES} are read")
    found = []
    for _ in range(entries):
        tag, kind, count, value = struct.unpack_from(order + entry, data, place)
        place += 20 if big else 12
        if kind in _CODES and count:
            found.append((tag, count, _first_value(data, order, _CODES[kind], count, value)))
    return found, place


def _first_value(data: bytes, order: str, code: str, count: int, value: bytes) -> int:
    """Return an entry's first value, which stands in the entry itself if all its values fit.

    Raises:
        struct.error: the file ends before it.
    """
    source, place = value, 0
    if struct.calcsize(code) * count > len(value):
        (place,) = struct.unpack(order + ("I" if len(value) == 4 else "Q"), value)
        source = data
    (first,) = struct.unpack_from(order + code, source, place)
    return int(first)
