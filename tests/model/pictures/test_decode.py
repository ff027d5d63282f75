"""Limits on what a picture may cost, all held against the header."""

import struct

import pytest
from PIL import Image

from model.pictures import decode
from model.pictures.decode import Limits, open_picture
from model.pictures.errors import CostlyPicture, OversizedPicture, UnsupportedPicture
from tests.app.photos import encoded, orientation, photo, png_header


@pytest.mark.parametrize("size", [(50_000_000, 1), (1, 50_000_000), (65_536, 2)])
def test_long_sides_are_refused_by_the_header(size):
    with pytest.raises(OversizedPicture, match="at most 65,535 pixels"):
        open_picture(png_header(*size), Limits(pixels=60_000_000))


def test_a_side_may_be_as_long_as_in_a_jpeg():
    assert open_picture(encoded(Image.new("L", (65_000, 1)), "JPEG")).decode().width == 65_000


def test_memory_is_estimated_from_mode_and_orientation():
    def memory(image: Image.Image, file_format: str, **options: object) -> float:
        data = encoded(image, file_format, **options)
        return open_picture(data).cost.memory - len(data)

    pixels = 60 * 40
    assert memory(photo(), "PNG") == 4 * pixels
    assert memory(photo().convert("RGBA"), "PNG") == 8 * pixels
    assert memory(photo(), "JPEG", exif=orientation(6)) == 8 * pixels
    assert memory(photo(), "JPEG", progressive=True) > 8 * pixels
    with pytest.raises(CostlyPicture, match="MB of memory"):
        open_picture(encoded(photo()), Limits(memory=9_000))


def test_too_little_memory_is_not_called_damage(monkeypatch):
    def fail(_: Image.Image) -> Image.Image:
        raise MemoryError

    monkeypatch.setattr(decode, "upright_rgb", fail)
    with pytest.raises(CostlyPicture, match="not enough memory"):
        open_picture(encoded(photo())).decode()


def run_lengths(length: int) -> bytes:
    """A BMP of 8 x 8 pixels and as many bytes of run lengths."""
    header = struct.pack("<IiiHHIIiiII", 40, 8, 8, 1, 8, 1, length, 0, 0, 256, 0)
    head = b"BM" + struct.pack("<IHHI", 1078 + length, 0, 0, 1078)
    return head + header + b"\1\2\3\0" * 256 + b"\x08\5\0\0" * (length // 4)


def test_run_lengths_count_for_the_time():
    assert open_picture(run_lengths(32)).decode().size == (8, 8)
    with pytest.raises(CostlyPicture, match="more than 1 seconds"):
        open_picture(run_lengths(4_000_000), Limits(seconds=1))


def test_kinds_of_bmp_that_are_not_read_are_named():
    header = struct.pack("<IiiHHIIiiII", 40, 8, 8, 1, 16, 3, 0, 0, 0, 0, 0)
    masks = struct.pack("<3I", 0xF00, 0xF0, 0xF)
    data = b"BM" + struct.pack("<IHHI", 66 + 128, 0, 0, 66) + header + masks + bytes(128)
    with pytest.raises(UnsupportedPicture, match="this kind of BMP is not read"):
        open_picture(data)
