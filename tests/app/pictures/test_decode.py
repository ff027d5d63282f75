from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.errors import PictureError, TooManyPixels, UnsupportedImage
from app.pictures.decode import decode_picture, read_picture
from tests.app import photos as pictures
from tests.app.photos import encoded, orientation, photo

PIXELS = 50_000_000

# `app.pictures.decode` silences Pillow's warnings, but pytest resets the filters.
pytestmark = pytest.mark.filterwarnings(r"ignore::UserWarning:PIL\.")


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image).astype(int)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_every_supported_format_is_decoded(file_format: str) -> None:
    picture = decode_picture(encoded(photo(), file_format), PIXELS)
    assert (picture.width, picture.height, picture.format) == (60, 40, file_format)
    assert picture.image.mode == "RGB"
    assert np.abs(pixels(picture.image) - pixels(photo())).mean() < 10


@pytest.mark.parametrize("file_format", ["PPM", "ICO", "PCX", "TGA"])
def test_other_formats_are_refused(file_format: str) -> None:
    with pytest.raises(UnsupportedImage):
        decode_picture(encoded(photo(), file_format), PIXELS)


@pytest.mark.parametrize("value", range(1, 9))
def test_every_orientation_is_turned_upright(value: int) -> None:
    # How a camera stores the same scene in each of the eight orientations.
    stored_as = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = photo().transpose(stored_as[value]) if value in stored_as else photo()
    for file_format in ("PNG", "TIFF"):
        picture = decode_picture(encoded(stored, file_format, exif=orientation(value)), PIXELS)
        assert np.array_equal(pixels(picture.image), pixels(photo())), file_format


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_an_invalid_orientation_is_ignored(value: int) -> None:
    picture = decode_picture(encoded(photo(), exif=orientation(value)), PIXELS)
    assert np.array_equal(pixels(picture.image), pixels(photo()))


def test_malformed_exif_is_ignored() -> None:
    picture = decode_picture(pictures.malformed_exif(), PIXELS)
    assert (picture.width, picture.height) == (60, 40)


def test_16_bit_grey_is_scaled() -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16)[None].repeat(4, axis=0)
    picture = decode_picture(encoded(Image.fromarray(ramp)), PIXELS)
    assert np.array_equal(pixels(picture.image)[0, :, 0], np.arange(256))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.float32([[0, 0.5, 1]]), [0, 128, 255]),
        (np.float32([[0, 128, 255]]), [0, 128, 255]),
        (np.float32([[-10, 0, 10]]), [0, 128, 255]),
        (np.float32([[np.nan, np.inf, 1]]), [0, 0, 255]),
        (np.float32([[0, 1e9, 2e9]]), [0, 128, 255]),
        (np.float32([[7e9, 7e9, 7e9]]), [0, 0, 0]),
        (np.int32([[0, 128, 255]]), [0, 128, 255]),
        (np.int32([[0, 32768, 65535]]), [0, 128, 255]),
    ],
)
def test_deep_greys_are_scaled_by_the_usual_ranges(values: np.ndarray, expected: list[int]) -> None:
    picture = decode_picture(encoded(Image.fromarray(values), "TIFF"), PIXELS)
    assert pixels(picture.image)[0, :, 0].tolist() == expected


def test_cmyk_is_converted() -> None:
    magenta = Image.new("CMYK", (20, 10), (0, 255, 0, 0))
    picture = decode_picture(encoded(magenta, "JPEG"), PIXELS)
    red, green, blue = pixels(picture.image)[5, 5]
    assert red > 240
    assert green < 15
    assert blue > 240


def test_transparency_is_blended_with_white() -> None:
    picture = decode_picture(pictures.palette_with_transparency(), PIXELS)
    assert pixels(picture.image)[5, 5].tolist() == [255, 255, 255]
    assert pixels(picture.image)[5, 15].tolist() == [0, 0, 0]
    half = Image.new("RGBA", (4, 4), (0, 0, 0, 128))
    assert pixels(decode_picture(encoded(half), PIXELS).image)[0, 0].tolist() == [127] * 3
    grey = Image.new("LA", (4, 4), (0, 0))
    assert pixels(decode_picture(encoded(grey), PIXELS).image)[0, 0].tolist() == [255] * 3
    keyed = encoded(Image.new("RGB", (4, 4), (1, 2, 3)), transparency=(1, 2, 3))
    assert pixels(decode_picture(keyed, PIXELS).image)[0, 0].tolist() == [255] * 3


@pytest.mark.parametrize("mode", ["1", "L", "P"])
def test_modes_with_few_colours_are_converted(mode: str) -> None:
    white = Image.new("RGB", (8, 8), "white").convert(mode)
    assert pixels(decode_picture(encoded(white), PIXELS).image).min() == 255


def test_an_animation_gives_its_first_frame() -> None:
    picture = decode_picture(pictures.animation(), PIXELS)
    assert pixels(picture.image)[5, 5].tolist() == [255, 0, 0]


def test_a_jpeg_with_an_embedded_preview_is_a_jpeg() -> None:
    data = encoded(photo(), "MPO", save_all=True, append_images=[photo(30, 20)])
    picture = decode_picture(data, PIXELS)
    assert (picture.width, picture.height, picture.format) == (60, 40, "JPEG")


def test_a_picture_of_one_pixel_is_decoded() -> None:
    picture = decode_picture(encoded(Image.new("RGB", (1, 1), "blue")), PIXELS)
    assert (picture.width, picture.height) == (1, 1)


@pytest.mark.parametrize("mode", ["LAB", "YCbCr"])
def test_other_colour_spaces_are_converted(mode: str) -> None:
    picture = decode_picture(encoded(Image.new(mode, (4, 4)), "TIFF"), PIXELS)
    assert picture.image.mode == "RGB"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"hello, world " * 50, "unsupported image format: send JPEG"),
        (b"\0" * 1000, "unsupported image format: send JPEG"),
        (b"%PDF-1.7\n", "PDF is not read"),
        (b"\xff\x0a" + bytes(20), "JPEG XL is not read"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000 is not read"),
        (b"\0\0\0\x18ftypisom\0\0\0\0isommp42", "MP4"),
        (b"", "the file is empty"),
    ],
)
def test_bytes_that_are_not_a_picture_are_refused_by_name(data: bytes, message: str) -> None:
    with pytest.raises(UnsupportedImage, match=message):
        decode_picture(data, PIXELS)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_truncated_files_are_refused(file_format: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), file_format)
    with pytest.raises(PictureError) as caught:
        decode_picture(data[: int(len(data) * share)], PIXELS)
    assert caught.value.code == "malformed_image"


def test_damaged_bytes_raise_nothing_but_picture_errors() -> None:
    random = np.random.default_rng(0)
    refused = 0
    for file_format in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"):
        sound = encoded(photo(), file_format)
        for _ in range(60):
            data = bytearray(sound)
            for place in random.integers(0, min(len(data), 400), 4):
                data[place] = random.integers(256)
            try:
                decode_picture(bytes(data), PIXELS)
            except PictureError:
                refused += 1
    assert refused > 60


@pytest.mark.parametrize("size", [(30_000, 30_000), (10_000, 10_000), (8_000, 8_000)])
def test_too_many_pixels_are_refused_by_the_header(size: tuple[int, int]) -> None:
    # The first exceeds Pillow's limit, the second its warning level, the third only ours.
    with pytest.raises(TooManyPixels, match="50 million"):
        decode_picture(pictures.png_header(*size), PIXELS)


def test_a_picture_at_the_limit_is_accepted() -> None:
    assert decode_picture(encoded(photo(10, 10)), 100).width == 10
    with pytest.raises(TooManyPixels, match="11 x 10"):
        decode_picture(encoded(photo(11, 10)), 100)


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(encoded(photo()))
    assert np.array_equal(pixels(read_picture(path, PIXELS).image), pixels(photo()))
    with pytest.raises(FileNotFoundError):
        read_picture(tmp_path / "none.png", PIXELS)
