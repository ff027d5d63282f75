"""PNGs whose chunks are odd, many, or missing."""

import struct
import zlib

import numpy as np
import pytest

from model.pictures.decode import open_picture
from model.pictures.errors import CostlyPicture, UnreadablePicture
from model.pictures.png import clean_png
from tests.app.photos import encoded, orientation, photo

PNG = encoded(photo())
PIXELS = np.asarray(photo())


def chunk(kind: bytes, data: bytes, *, checksum: int | None = None) -> bytes:
    crc = zlib.crc32(kind + data) if checksum is None else checksum
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)


def with_chunk(added: bytes) -> bytes:
    place = PNG.index(b"IDAT") - 4
    return PNG[:place] + added + PNG[place:]


def decoded(data: bytes) -> np.ndarray:
    return np.asarray(open_picture(data).decode())


LARGE = zlib.compress(bytes(3_000_000))


@pytest.mark.parametrize(
    "added",
    [
        chunk(b"zTXt", b"workflow\0\0" + LARGE),
        chunk(b"iTXt", b"workflow\0\1\0\0\0" + LARGE),
        chunk(b"iCCP", b"large\0\0" + LARGE),
        chunk(b"iCCP", b"other method\0\1" + LARGE),
        chunk(b"iCCP", b""),
        chunk(b"pHYs", b"\0" * 3),
        chunk(b"gAMA", b""),
        chunk(b"eXIf", b"no EXIF"),
        chunk(b"acTL", b""),
        chunk(b"fcTL", bytes(26)),
        *(chunk(kind, b"\0" * 9, checksum=1) for kind in (b"pHYs", b"tEXt", b"iCCP", b"eXIf")),
        chunk(b"eXIf", orientation(6).tobytes(), checksum=1),
    ],
)
def test_chunks_that_no_pixel_needs_are_never_fatal(added):
    assert np.array_equal(decoded(with_chunk(added)), PIXELS)


@pytest.mark.parametrize("kind", [b"IHDR", b"IDAT"])
def test_a_wrong_checksum_of_a_chunk_that_pixels_need_is_damage(kind):
    data = bytearray(PNG)
    place = data.index(kind)
    end = place + 4 + int.from_bytes(data[place - 4 : place], "big")
    data[end] ^= 1
    with pytest.raises(UnreadablePicture, match=f"checksum of {kind.decode()}"):
        open_picture(bytes(data))


def test_a_missing_end_is_no_damage():
    assert np.array_equal(decoded(PNG[:-12]), PIXELS)
    assert np.array_equal(decoded(PNG[:-5]), PIXELS)
    assert np.array_equal(decoded(PNG[:-12] + chunk(b"tEXt", b"cut short")[:-3]), PIXELS)


def test_missing_pixels_are_damage():
    with pytest.raises(UnreadablePicture):
        decoded(PNG[:-100])


def test_a_broken_animation_shows_its_default_picture():
    animation = encoded(photo(), save_all=True, append_images=[photo().rotate(90)])
    broken = animation.replace(b"acTL\0\0\0\2", b"acTL\0\0\0\0")
    assert np.array_equal(decoded(broken), PIXELS)


def test_more_chunks_than_a_picture_can_need_are_refused():
    with pytest.raises(CostlyPicture, match="chunks"):
        clean_png(with_chunk(chunk(b"tEXt", b"") * 20_000))
