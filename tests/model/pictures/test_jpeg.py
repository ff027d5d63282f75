"""JPEGs whose markers are odd, many, or missing."""

import numpy as np
import pytest
from PIL import Image

from model.pictures.decode import Limits, open_picture
from model.pictures.errors import CostlyPicture, UnreadablePicture, UnsupportedPicture
from model.pictures.jpeg import read_jpeg
from tests.app.photos import encoded, photo

END = b"\xff\xd9"


def decoded(data: bytes) -> np.ndarray:
    return np.asarray(open_picture(data).decode()).astype(int)


def noise() -> Image.Image:
    values = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    return Image.fromarray(values)


KINDS = [{}, {"progressive": True}, {"subsampling": 0}, {"restart_marker_blocks": 3}]


@pytest.mark.parametrize("options", KINDS)
@pytest.mark.parametrize("missing", [1, 2])
def test_a_missing_end_marker_is_no_damage(options, missing):
    data = encoded(noise(), "JPEG", **options)
    assert np.array_equal(decoded(data[:-missing]), decoded(data))


@pytest.mark.parametrize("options", KINDS)
@pytest.mark.parametrize("missing", [8, 20, 200])
def test_missing_pixels_are_damage(options, missing):
    data = encoded(noise(), "JPEG", **options)
    with pytest.raises(UnreadablePicture):
        decoded(data[:-missing])


def test_a_missing_scan_is_damage():
    data = encoded(noise(), "JPEG", progressive=True)
    scan = data.rindex(b"\xff\xda")
    with pytest.raises(UnreadablePicture):
        decoded(data[: data.rindex(b"\xff\xc4", 0, scan)])


def test_zeros_in_place_of_the_end_are_damage():
    data = encoded(noise(), "JPEG")
    with pytest.raises(UnreadablePicture):
        decoded(data[:-400] + bytes(400))


def test_metadata_that_no_pixel_needs_is_left_out():
    data = encoded(photo(), "JPEG", comment=b"x" * 999)
    odd = b"\xff\xe2\0\x0aMPF\0\xff\xff\xff\xff" + b"\xff\xed\0\x10Photoshop 3.0"
    read = read_jpeg(data[:2] + odd + data[2:])
    assert b"MPF" not in read.data
    assert b"x" * 999 not in read.data
    assert np.array_equal(decoded(data[:2] + odd + data[2:]), decoded(data))


def test_fill_bytes_and_bytes_between_segments_are_skipped():
    data = encoded(photo(), "JPEG")
    table = data.index(b"\xff\xdb")
    odd = data[:table] + b"\0\0\0" + b"\xff\xff\xff" + data[table:] + b"behind the end"
    assert np.array_equal(decoded(odd), decoded(data))


def test_scans_are_counted():
    assert read_jpeg(encoded(photo(), "JPEG")).scans == 1
    progressive = read_jpeg(encoded(photo(), "JPEG", progressive=True))
    assert progressive.progressive
    assert progressive.scans > 3


def test_a_picture_of_very_many_scans_is_refused_before_it_is_decoded():
    data = encoded(Image.new("L", (2000, 2000)), "JPEG", progressive=True)
    scan = data[data.rindex(b"\xff\xc4") : -2]
    many = data[:-2] + scan * 1500 + END
    with pytest.raises(CostlyPicture, match="more than 10 seconds"):
        open_picture(many, Limits(seconds=10))
    with pytest.raises(CostlyPicture):
        open_picture(many[:-2], Limits(seconds=10))


def test_a_segment_that_is_cut_off_does_not_hide_scans():
    data = encoded(noise(), "JPEG", progressive=True)
    for tail in (b"\xff\xfe\xff\xff", b"\xff\xda\0\3\1", b"\xff\xda\0\0"):
        with pytest.raises(UnreadablePicture):
            open_picture(data[:-2] + tail)


@pytest.mark.parametrize(
    ("marker", "bits", "kind"),
    [(0xC1, 12, "12 bits"), (0xC3, 8, "lossless"), (0xF7, 8, "JPEG-LS"), (0xCD, 8, "hierarchical")],
)
def test_kinds_that_are_not_read_are_named(marker, bits, kind):
    data = bytearray(encoded(photo(), "JPEG"))
    frame = data.index(b"\xff\xc0")
    data[frame + 1], data[frame + 4] = marker, bits
    with pytest.raises(UnsupportedPicture, match=kind):
        open_picture(bytes(data))
