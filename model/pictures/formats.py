"""Identify the format of a file by its first bytes, and name those that are not read."""

from importlib import import_module
from importlib.util import find_spec

from model.pictures.errors import UnsupportedPicture

__all__ = ["FORMATS", "HAS_VIDEO", "SUFFIXES", "VIDEO_SUFFIXES", "identify", "identify_video"]

_HAS_HEIC = find_spec("pillow_heif") is not None
HAS_VIDEO = find_spec("av") is not None

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", *(("HEIF",) if _HAS_HEIC else ()))
SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in (
        *("jpg", "jpeg", "jpe", "jfif", "pjpeg", "pjp", "mpo"),
        *("png", "apng", "webp", "gif", "bmp", "tif", "tiff", "avif"),
    )
) | (frozenset({".heic", ".heif", ".hif"}) if _HAS_HEIC else frozenset())

# Of the films that are read where the extra `video` is installed.
VIDEO_SUFFIXES = frozenset({".mp4", ".m4v", ".mov", ".3gp", ".webm", ".mkv"})

_SEND = "send JPEG, PNG, WebP, GIF, BMP, TIFF" + (", AVIF or HEIC" if _HAS_HEIC else " or AVIF")

_SIGNATURES = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"MM*\0": "TIFF",  # written wrongly, and read
    b"II\0*": "TIFF",
    b"MM\0+": "TIFF",  # BigTIFF
    b"II+\0": "TIFF",
}
_OTHERS = {
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL ": "JPEG XL",
    b"\0\0\0\x0cjP  ": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
    b"8BPS": "Photoshop",
    b"%PDF": "PDF",
    b"\0\0\1\0": "ICO",
    b"FUJIFILM": "RAW",
    b"version https://git-lfs": "a pointer of Git LFS, not the picture itself,",
}
_AVIF_BRANDS = {b"avif", b"avis"}
_RAW_BRANDS = {b"crx "}
_MATROSKA = b"\x1a\x45\xdf\xa3"
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}

# Importing a plugin registers its format: now, and not in the first threads that decode.
for _plugin in ("Avif", "Bmp", "Gif", "Jpeg", "Mpo", "Png", "Tiff", "WebP"):
    import_module(f"PIL.{_plugin}ImagePlugin")
if _HAS_HEIC:
    import_module("pillow_heif").register_heif_opener()


def identify(data: bytes) -> str:
    """Return Pillow's name for the format of a file.

    Raises:
        UnsupportedPicture: it is none of `FORMATS`; the message names it if it is known.
    """
    if not data:
        raise UnsupportedPicture("the file is empty")
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[4:8] == b"ftyp":
        return _identify_iso_media(data)
    for signature, name in _SIGNATURES.items():
        if data.startswith(signature):
            return name
    if data.startswith(_MATROSKA):
        raise _unsupported_video("WebM")
    for signature, name in _OTHERS.items():
        if data.startswith(signature):
            raise UnsupportedPicture(f"unsupported image format: {name} is not read: {_SEND}")
    raise UnsupportedPicture(f"unsupported image format: {_SEND}")


def identify_video(data: bytes) -> str | None:
    """Return the kind of a film, `MP4` or `WebM`; None if the file is none.

    A kind names the container, whose relatives are read too: QuickTime and 3GP, and Matroska.
    """
    if data.startswith(_MATROSKA):
        return "WebM"
    pictures = _AVIF_BRANDS | _HEIC_BRANDS | _RAW_BRANDS | {b"mif1", b"msf1"}
    return "MP4" if data[4:8] == b"ftyp" and not _brands(data) & pictures else None


def _brands(data: bytes) -> set[bytes]:
    """Return the brands in the first box of an ISO media file."""
    length = int.from_bytes(data[:4], "big")
    return {data[place : place + 4] for place in (8, *range(16, min(length, 128), 4))}


def _identify_iso_media(data: bytes) -> str:
    """Distinguish AVIF from HEIC by the brands in the file's first box."""
    brands = _brands(data)
    if brands & _AVIF_BRANDS:
        return "AVIF"
    if brands & (_HEIC_BRANDS | {b"mif1", b"msf1"}):
        if _HAS_HEIC:
            return "HEIF"
        raise UnsupportedPicture(
            "unsupported image format: HEIC is read only where the extra `heic` is installed "
            f"(pip install 'unrolled[heic]'): {_SEND}"
        )
    if brands & _RAW_BRANDS:
        raise UnsupportedPicture(f"unsupported image format: RAW is not read: {_SEND}")
    raise _unsupported_video("MP4")


def _unsupported_video(kind: str) -> UnsupportedPicture:
    if HAS_VIDEO:
        return UnsupportedPicture(
            f"unsupported image format: {kind} is a film, of which only `POST /caption` and "
            f"`unrolled caption` read frames: {_SEND}"
        )
    return UnsupportedPicture(
        f"unsupported image format: {kind} is read only where the extra `video` is installed "
        f"(pip install 'unrolled[video]'): {_SEND}"
    )
