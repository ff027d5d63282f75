"""TIFF directories that promise more than there is, and kinds that are not read."""

import struct

import numpy as np
import pytest

from model.pictures.decode import open_picture
from model.pictures.errors import CostlyPicture, UnreadablePicture, UnsupportedPicture
from model.pictures.tiff import read_tiff
from tests.app.photos import encoded, photo

GREY = {256: 4, 257: 2, 258: 8, 259: 1, 262: 1, 277: 1, 278: 2}


def tiff(pixels: bytes, order: str = "<") -> bytes:
    return tiff_of(GREY, pixels, order)


def tiff_of(tags: dict[int, int], pixels: bytes, order: str = "<") -> bytes:
    """An uncompressed TIFF of one strip, of tags with one value each."""
    entries = dict(sorted({**tags, 279: len(pixels), 273: 14 + 12 * (len(tags) + 2)}.items()))
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, len(entries))
    for tag, value in entries.items():
        head += struct.pack(order + "HHII", tag, 4, 1, value)
    return head + bytes(4) + pixels


@pytest.mark.parametrize("order", ["<", ">"])
def test_entries_are_read_in_either_byte_order(order):
    read = read_tiff(tiff(bytes(8), order))
    assert {**read.entries, **GREY} == read.entries
    assert read.parts == 1


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({262: 2, 277: 3, 258: 32, 339: 3}, "RGB, 3 x 32 bits, floating point"),
        ({258: 64, 339: 3}, "grey, 1 x 64 bits, floating point"),
        ({258: 16, 339: 3}, "grey, 1 x 16 bits, floating point"),
        ({259: 50001}, "WebP"),
    ],
)
def test_sound_files_of_other_kinds_are_not_called_damaged(changes, kind):
    with pytest.raises(UnsupportedPicture, match=f"this kind of TIFF is not read: .*{kind}"):
        open_picture(tiff_of({**GREY, **changes}, bytes(96)))


def test_a_directory_that_makes_no_sense_is_damage():
    with pytest.raises(UnreadablePicture, match="damaged"):
        open_picture(b"II*\0\xff\xff\0\0")
    with pytest.raises(UnreadablePicture, match="damaged"):
        open_picture(tiff_of({**GREY, 258: 99}, bytes(8)))


def test_directories_strips_and_tiles_are_bounded():
    many = b"II*\0\x08\0\0\0" + struct.pack("<H", 5000) + bytes(12 * 5000)
    with pytest.raises(CostlyPicture, match="5000 entries"):
        open_picture(many)
    strips = bytearray(tiff(bytes(8)))
    place = strips.index(struct.pack("<HH", 273, 4))
    strips[place + 4 : place + 8] = struct.pack("<I", 2_400_000)
    strips += bytes(4)
    with pytest.raises(CostlyPicture, match="2400000 strips"):
        open_picture(bytes(strips))
    with pytest.raises(CostlyPicture, match="tiles"):
        open_picture(tiff_of({**GREY, 322: 60_000, 323: 60_000}, bytes(8)))


def test_big_tiffs_are_read():
    data = encoded(photo(), "TIFF", big_tiff=True)
    assert read_tiff(data).entries[256] == 60
    assert np.array_equal(np.asarray(open_picture(data).decode()), np.asarray(photo()))
