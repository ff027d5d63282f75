"""Picture files for the tests, good and bad, generated when needed."""

import struct
import zlib
from io import BytesIO

import numpy as np
from PIL import Image

ORIENTATION = 0x0112


def photo(width: int = 60, height: int = 40) -> Image.Image:
    """A picture that looks different from every side: gradients and one bright corner."""
    across, down = np.meshgrid(np.linspace(0, 200, width), np.linspace(0, 200, height))
    pixels = np.stack([across, down, (across + down) / 2], axis=-1).astype(np.uint8)
    pixels[: height // 4, : width // 4] = (255, 30, 30)
    return Image.fromarray(pixels)


def encoded(image: Image.Image, file_format: str = "PNG", **options: object) -> bytes:
    file = BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def sideways(file_format: str = "JPEG") -> bytes:
    """A picture stored sideways, with the EXIF orientation that turns it upright."""
    return encoded(photo().transpose(Image.Transpose.ROTATE_90), file_format, exif=orientation(6))


def orientation(value: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION] = value
    return exif


def png_header(width: int, height: int) -> bytes:
    """A PNG that declares a size and ends soon after."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(b"\0"))


def malformed_exif() -> bytes:
    """A valid JPEG whose EXIF block is garbage."""
    return encoded(photo(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\xfe" * 40)


def animation() -> bytes:
    """A GIF: a red frame, then blue ones."""
    frames = [Image.new("RGB", (20, 10), colour) for colour in ("red", "blue", "blue")]
    return encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=50)


def palette_with_transparency() -> bytes:
    """A palette PNG: left half transparent, right half black."""
    image = Image.new("P", (20, 10), 0)
    image.putpalette([200, 0, 0, 0, 0, 0])
    image.paste(1, (10, 0, 20, 10))
    return encoded(image, transparency=0)


def _chunk(kind: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)
