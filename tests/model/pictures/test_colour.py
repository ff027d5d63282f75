"""Transparency and colour profiles."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from model.pictures.decode import open_picture
from tests.app.photos import encoded, orientation, photo
from tests.model.pictures.test_png import chunk
from tests.model.pictures.test_tiff import GREY, tiff_of


def decoded(data: bytes) -> np.ndarray:
    return np.asarray(open_picture(data).decode()).astype(int)


def srgb_profile(*, swapped: bool = False) -> bytes:
    """The profile of sRGB, or one whose red is blue's colour and the other way round."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    if not swapped:
        return profile
    return profile.replace(b"rXYZ", b"tmp.").replace(b"bXYZ", b"rXYZ").replace(b"tmp.", b"bXYZ")


def test_a_profile_is_applied_and_that_of_srgb_changes_nothing():
    plain = decoded(encoded(photo()))
    assert np.array_equal(decoded(encoded(photo(), icc_profile=srgb_profile())), plain)
    swapped = decoded(encoded(photo(), icc_profile=srgb_profile(swapped=True)))
    assert np.abs(swapped - plain[:, :, ::-1]).max() <= 3


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_every_format_brings_its_profile(file_format):
    plain = decoded(encoded(photo(), file_format))
    data = encoded(photo(), file_format, icc_profile=srgb_profile(swapped=True))
    assert np.abs(decoded(data) - plain[:, :, ::-1]).max() <= 3


@pytest.mark.parametrize("profile", [b"no profile", bytes(200), srgb_profile()[:300]])
def test_a_damaged_profile_is_ignored(profile):
    plain = decoded(encoded(photo()))
    assert np.array_equal(decoded(encoded(photo(), icc_profile=profile)), plain)


def test_a_profile_of_another_space_is_ignored():
    grey = photo().convert("L")
    plain = decoded(encoded(grey.convert("CMYK"), "TIFF"))
    data = encoded(grey.convert("CMYK"), "TIFF", icc_profile=srgb_profile(swapped=True))
    assert decoded(data).shape == plain.shape


def test_transparent_pictures_with_a_profile_are_blended_too():
    clear = photo()
    clear.putalpha(0)
    data = encoded(clear, icc_profile=srgb_profile(swapped=True))
    assert decoded(data).min() >= 254


def test_a_large_picture_with_a_profile_is_reduced_and_keeps_its_size():
    large = photo(4000, 3000)
    opened = open_picture(
        encoded(large, "JPEG", icc_profile=srgb_profile(swapped=True), exif=orientation(6))
    )
    assert opened.size == (3000, 4000)
    image = opened.decode()
    assert image.size == (1500, 2000)


def bmp_with_alpha(alpha: int) -> bytes:
    """A 32-bit BMP with a V5 header, whose pixels all have one alpha."""
    width, height = 4, 2
    header = struct.pack("<IiiHHIIiiII", 124, width, height, 1, 32, 3, 0, 0, 0, 0, 0)
    header += struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000) + bytes(124 - 56)
    pixels = bytes([10, 20, 30, alpha]) * (width * height)
    return b"BM" + struct.pack("<IHHI", 138 + len(pixels), 0, 0, 138) + header + pixels


def test_a_wholly_clear_alpha_channel_of_a_bmp_means_none():
    assert decoded(bmp_with_alpha(0))[0, 0].tolist() == [30, 20, 10]
    assert decoded(bmp_with_alpha(255))[0, 0].tolist() == [30, 20, 10]
    assert decoded(bmp_with_alpha(1))[0, 0].min() > 250


def test_a_fourth_channel_that_a_tiff_does_not_call_alpha_is_left_out():
    rgb = {**GREY, 256: 2, 257: 1, 262: 2, 277: 4}
    pixels = bytes([30, 20, 10, 0, 30, 20, 10, 0])
    assert decoded(tiff_of(rgb, pixels)).tolist() == [[[30, 20, 10]] * 2]
    assert decoded(tiff_of({**rgb, 338: 2}, pixels)).min() == 255


def test_a_transparent_colour_of_16_bits_becomes_white():
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0))
    key, other = (0x1234, 0x5678, 0x9ABC), (0xFF00, 0, 0)
    rows = zlib.compress(b"\0" + struct.pack(">6H", *key, *other))
    data = b"\x89PNG\r\n\x1a\n" + header + chunk(b"tRNS", struct.pack(">3H", *key))
    data += chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    assert decoded(data)[0].tolist() == [[255, 255, 255], [255, 0, 0]]


def test_cmyk_takes_the_profile_of_cmyk_only():
    image = Image.new("CMYK", (8, 8), (0, 255, 0, 0))
    plain = decoded(encoded(image, "JPEG"))
    assert np.array_equal(decoded(encoded(image, "JPEG", icc_profile=srgb_profile())), plain)
