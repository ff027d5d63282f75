"""Greys of any depth: their range comes from the tags, or from what is usual."""

import numpy as np
import pytest
from PIL import Image

from model.pictures.decode import open_picture
from tests.app.photos import encoded
from tests.model.pictures.test_tiff import GREY, tiff_of

RAMP = np.linspace(0, 1, 8)
LEVELS = (RAMP * 255).round().astype(int)


def grey(tags: dict[int, int], pixels: np.ndarray | bytes) -> list[int]:
    data = pixels if isinstance(pixels, bytes) else pixels.tobytes()
    image = open_picture(tiff_of({**GREY, 256: 8, 257: 1, **tags}, data)).decode()
    return np.asarray(image)[0, :, 0].astype(int).tolist()


def floats(*values: float) -> list[int]:
    data = encoded(Image.fromarray(np.array([values], dtype=np.float32)), "TIFF")
    return np.asarray(open_picture(data).decode())[0, :, 0].tolist()


def test_white_of_12_bits_is_4095():
    values = (RAMP * 4095).round().astype(int)
    packed = b"".join(
        bytes([a >> 4, (a & 15) << 4 | b >> 8, b & 255])
        for a, b in zip(values[::2].tolist(), values[1::2].tolist(), strict=True)
    )
    assert grey({258: 12}, packed) == LEVELS.tolist()


def test_white_is_zero_at_every_depth():
    expected = LEVELS[::-1].tolist()
    assert grey({262: 0}, LEVELS.astype(np.uint8)) == expected
    assert grey({258: 16, 262: 0}, (RAMP * 65535).astype("<u2")) == pytest.approx(expected, abs=1)
    assert grey({258: 32, 262: 0, 339: 3}, RAMP.astype("<f4")) == pytest.approx(expected, abs=1)


def test_signed_greys_are_read_as_signed():
    assert grey({339: 2}, (LEVELS - 128).astype(np.int8)) == LEVELS.tolist()
    values = (RAMP * 32767).astype("<i2")
    assert grey({258: 16, 339: 2}, values) == pytest.approx(LEVELS.tolist(), abs=1)


def test_a_hairs_breadth_does_not_change_the_range_of_floats():
    photo = [*np.linspace(0, 0.9, 500)]
    assert floats(*photo, 1.0001)[250] == floats(*photo)[250]
    assert floats(*photo, -0.001)[250] == floats(*photo)[250]


@pytest.mark.parametrize("hole", [-9999.0, -32768.0, -3.4e38, np.nan, np.inf])
def test_what_stands_for_no_data_is_left_out(hole):
    assert floats(hole, 0.5, 1.0) == [0, 128, 255]


def test_a_value_that_a_tag_calls_no_data_is_left_out():
    image = Image.fromarray(np.array([[-7.0, 0.5, 1.0]], dtype=np.float32))
    data = encoded(image, "TIFF", tiffinfo={42113: "-7"})
    assert np.asarray(open_picture(data).decode())[0, :, 0].tolist() == [0, 128, 255]


def test_a_range_that_tags_give_is_kept():
    image = Image.fromarray(np.array([[0.0, 1.0, 2.0]], dtype=np.float32))
    data = encoded(image, "TIFF", tiffinfo={340: 0.0, 341: 4.0})
    assert np.asarray(open_picture(data).decode())[0, :, 0].tolist() == [0, 64, 128]


def test_a_transparent_grey_of_16_bits_becomes_white():
    image = Image.fromarray(np.array([[300, 301, 65535]], dtype=np.uint16))
    data = encoded(image, transparency=300)
    assert np.asarray(open_picture(data).decode())[0, :, 0].tolist() == [255, 1, 255]
