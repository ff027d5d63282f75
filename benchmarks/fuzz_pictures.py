"""Whether anything but a picture error comes out of decoding damaged pictures.

Sound pictures of every format and many kinds are mutated: bytes changed, cut out, repeated, put
between others, and the file cut short. The mutations are the same every time.
"""

import io
import random
import time
import zlib
from collections import Counter
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageCms

from app.errors import PictureError
from app.pictures.decode import decode_picture
from benchmarks.bench import Bench
from benchmarks.report import Row, Table

__all__ = ["measure", "mutate", "sound_pictures"]

_MAX_PIXELS = 1_000_000
_HEADER = 400  # bytes, in which half of the mutations happen
_SIZE = (96, 64)
_PNG = b"\x89PNG\r\n\x1a\n"


def measure(bench: Bench) -> list[Table]:
    """Decode mutated pictures.

    Raises:
        RuntimeError: something else than a `PictureError` came out; the message says which.
    """
    sound = sound_pictures()
    draw = random.Random(0)
    outcomes: dict[str, Counter[str]] = {name: Counter() for name in sound}
    slowest = dict.fromkeys(sound, 0.0)
    for number in range(bench.fuzzed_pictures):
        name = list(sound)[number % len(sound)]
        data = mutate(sound[name], draw)
        started = time.perf_counter()
        outcomes[name][_outcome(data, f"{name}, mutation {number}")] += 1
        slowest[name] = max(slowest[name], time.perf_counter() - started)
    rows: list[Row] = [
        {
            "kind": name,
            "mutated": outcomes[name].total(),
            "decoded": outcomes[name]["decoded"],
            "refused": outcomes[name].total() - outcomes[name]["decoded"],
            "slowest, ms": 1000 * slowest[name],
        }
        for name in sound
    ]
    total = sum(outcomes.values(), Counter())
    notes = [
        f"{total.total():,} pictures: " + ", ".join(f"{n:,} {o}" for o, n in total.most_common())
    ]
    return [Table("Mutated pictures", rows, notes)]


def _outcome(data: bytes, which: str) -> str:
    try:
        decode_picture(data, _MAX_PIXELS)
    except PictureError as error:
        return error.code
    except Exception as error:
        raise RuntimeError(f"{which}: {error!r} is no picture error") from error
    return "decoded"


def mutate(data: bytes, draw: random.Random) -> bytes:
    """Return a damaged copy, with one to three mutations."""
    mutated = bytearray(data)
    for _ in range(draw.randint(1, 3)):
        most = len(mutated) if draw.random() < 0.5 else min(len(mutated), _HEADER)
        place, length = draw.randrange(max(1, most)), draw.randint(1, 40)
        draw.choice(_MUTATIONS)(mutated, place, length, draw)
    if mutated.startswith(_PNG) and draw.random() < 0.7:
        _mend_checksums(mutated)
    return bytes(mutated)


def _mend_checksums(png: bytearray) -> None:
    """Make the checksums of a PNG right, so that its decoder sees the damage."""
    place = len(_PNG)
    while place + 12 <= len(png):
        end = place + 8 + int.from_bytes(png[place : place + 4], "big")
        if end + 4 > len(png):
            break
        png[end : end + 4] = zlib.crc32(png[place + 4 : end]).to_bytes(4, "big")
        place = end + 4


def _change(data: bytearray, place: int, length: int, draw: random.Random) -> None:
    for _ in range(draw.randint(1, 4)):
        if data:
            data[(place + draw.randrange(length)) % len(data)] = draw.randrange(256)


def _extremes(data: bytearray, place: int, _length: int, draw: random.Random) -> None:
    value = draw.choice([b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\xff\xff"])
    data[place : place + 4] = value


def _remove(data: bytearray, place: int, length: int, _draw: random.Random) -> None:
    del data[place : place + length]


def _repeat(data: bytearray, place: int, length: int, draw: random.Random) -> None:
    data[place:place] = data[place : place + length] * draw.randint(1, 20)


def _insert(data: bytearray, place: int, length: int, draw: random.Random) -> None:
    data[place:place] = draw.randbytes(length)


def _cut(data: bytearray, place: int, _length: int, _draw: random.Random) -> None:
    del data[place:]


_MUTATIONS: tuple[Callable[[bytearray, int, int, random.Random], None], ...] = (
    *(_change, _change, _change),
    *(_extremes, _remove, _repeat, _insert, _cut),
)


def sound_pictures() -> dict[str, bytes]:
    """Return a small sound file of every kind, by its name."""
    across, down = np.meshgrid(np.linspace(0, 255, _SIZE[0]), np.linspace(0, 255, _SIZE[1]))
    noise = np.random.default_rng(0).normal(0, 8, (*across.shape, 3))
    pixels = np.stack([across, down, (across + down) / 2], axis=-1) + noise
    photo = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
    grey = np.asarray(photo.convert("L"))
    clear = photo.copy()
    clear.putalpha(Image.fromarray(grey))
    frames = {"save_all": True, "append_images": [photo.rotate(90), photo.rotate(180)]}
    exif = Image.Exif()
    exif[0x0112] = 6
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    deep = Image.fromarray(grey.astype(np.uint16) * 257)
    real = Image.fromarray(grey / np.float32(255))
    kinds: dict[str, tuple[Image.Image, str, dict[str, object]]] = {
        "JPEG": (photo, "JPEG", {"exif": exif, "icc_profile": profile}),
        "JPEG, progressive": (photo, "JPEG", {"progressive": True}),
        "JPEG, CMYK": (photo.convert("CMYK"), "JPEG", {}),
        "JPEG, two pictures": (photo, "MPO", frames),
        "PNG": (photo, "PNG", {"exif": exif, "icc_profile": profile}),
        "PNG, alpha": (clear, "PNG", {}),
        "PNG, palette": (photo.quantize(16), "PNG", {"transparency": 3}),
        "PNG, 16 bits": (deep, "PNG", {}),
        "PNG, animated": (photo, "PNG", frames),
        "WebP": (photo, "WEBP", {"exif": exif, "icc_profile": profile}),
        "WebP, lossless": (clear, "WEBP", {"lossless": True}),
        "WebP, animated": (photo, "WEBP", frames),
        "GIF": (photo, "GIF", frames),
        "BMP": (photo, "BMP", {}),
        "BMP, palette": (photo.quantize(16), "BMP", {}),
        "TIFF": (photo, "TIFF", {"exif": exif, "icc_profile": profile}),
        "TIFF, LZW": (clear, "TIFF", {"compression": "tiff_lzw"}),
        "TIFF, Deflate": (deep, "TIFF", {"compression": "tiff_adobe_deflate"}),
        "TIFF, JPEG": (photo, "TIFF", {"compression": "jpeg"}),
        "TIFF, fax": (photo.convert("1"), "TIFF", {"compression": "group4"}),
        "TIFF, floating point": (real, "TIFF", {}),
        "AVIF": (photo, "AVIF", {"exif": exif, "icc_profile": profile}),
    }
    return {name: _encoded(*kind) for name, kind in kinds.items()}


def _encoded(image: Image.Image, file_format: str, options: dict[str, object]) -> bytes:
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()
