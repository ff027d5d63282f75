"""A picture that Pillow has opened is prepared as a file is."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageOps

from model.pictures.decode import open_picture, read_picture
from model.pictures.errors import UnsupportedPicture
from model.pictures.upright import upright_rgb
from tests.app.photos import encoded, orientation, photo, sideways
from tests.model.pictures.test_colour import srgb_profile
from tests.model.pictures.test_tiff import GREY, tiff_of


def test_every_kind_gives_the_same_pixels_from_a_file_and_from_pillow():
    deep = Image.fromarray(np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8))
    clear = photo()
    clear.putalpha(100)
    for data in (
        *(sideways(file_format) for file_format in ("JPEG", "PNG", "WEBP", "TIFF")),
        encoded(deep),
        encoded(clear),
        encoded(photo(), icc_profile=srgb_profile(swapped=True)),
        tiff_of({**GREY, 339: 2}, bytes(range(8))),
        tiff_of({**GREY, 258: 16, 262: 0}, bytes(range(16))),
    ):
        expected = np.asarray(open_picture(data).decode())
        opened = Image.open(BytesIO(data))
        assert np.array_equal(np.asarray(upright_rgb(opened)), expected)


def test_what_has_been_prepared_is_not_changed_again():
    data = encoded(photo(), "JPEG", exif=orientation(6), icc_profile=srgb_profile(swapped=True))
    once = open_picture(data).decode()
    assert np.array_equal(np.asarray(upright_rgb(once)), np.asarray(once))
    turned = ImageOps.exif_transpose(Image.open(BytesIO(sideways())))
    assert upright_rgb(turned).size == turned.size


def test_the_given_picture_is_not_changed():
    opened = Image.open(BytesIO(sideways()))
    size, info = opened.size, dict(opened.info)
    upright_rgb(opened)
    assert (opened.size, opened.info) == (size, info)


def test_orientation_in_xmp_is_ignored_as_in_browsers():
    xmp = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    assert open_picture(encoded(photo(), "JPEG", xmp=xmp)).decode().size == (60, 40)


@pytest.mark.parametrize("file_format", ["JPEG", "AVIF", "TIFF"])
def test_the_size_is_that_of_the_upright_picture(file_format):
    opened = open_picture(sideways(file_format))
    assert opened.size == opened.decode().size == (60, 40)


def test_the_message_about_a_file_names_it(tmp_path):
    (tmp_path / "text.jpg").write_text("text")
    with pytest.raises(UnsupportedPicture, match=r"text\.jpg"):
        read_picture(tmp_path / "text.jpg")
