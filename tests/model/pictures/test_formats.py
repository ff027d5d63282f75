import pytest

from model.pictures import formats
from model.pictures.decode import open_picture
from model.pictures.errors import UnsupportedPicture
from model.pictures.formats import identify
from tests.app.photos import encoded, photo

HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100)


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_formats_are_told_by_their_first_bytes(name):
    assert identify(encoded(photo(), name)) == name
    assert name in formats.FORMATS


def test_suffixes_that_cameras_browsers_and_editors_write_are_known():
    expected = {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".tif", ".avif"}
    assert expected <= formats.SUFFIXES


def test_heic_is_named_with_the_extra_that_reads_it(monkeypatch):
    monkeypatch.setattr(formats, "_HAS_HEIC", False)
    with pytest.raises(UnsupportedPicture, match=r"unrolled\[heic\]"):
        identify(HEIC)
    monkeypatch.setattr(formats, "_HAS_HEIC", True)
    assert identify(HEIC) == "HEIF"


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"8BPS\0\1", "Photoshop"),
        (b"version https://git-lfs.github.com/spec/v1", "pointer of Git LFS"),
        (b"\xff\x4f\xff\x51\0", "JPEG 2000"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
        (b"\0\0\0\x18ftypcrx \0\0\0\0crx isom", "RAW"),
    ],
)
def test_other_formats_are_refused_by_name(data, name):
    with pytest.raises(UnsupportedPicture, match=name):
        identify(data)


def test_an_empty_file_is_called_empty():
    with pytest.raises(UnsupportedPicture, match="the file is empty"):
        identify(b"")


def test_heic_is_read_with_the_extra():
    pytest.importorskip("pillow_heif")
    opened = open_picture(encoded(photo(), "HEIF"))
    assert opened.format == "HEIF"
    assert opened.decode().size == (60, 40)
    assert ".heic" in formats.SUFFIXES
