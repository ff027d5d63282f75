"""JPEG files to pictures by whatever decoders are installed, beside the one that is used.

Each row says how long a file takes, and how far its picture, made as small as the encoder wants it,
lies from the one that training saw. Knows decoders; does not know what the differences would do to
captions.
"""

import warnings
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.pictures.decode import decode_picture
from benchmarks.bench import SIZE, Bench
from benchmarks.report import Row, Sample, Table
from benchmarks.stages import MAX_PIXELS
from benchmarks.timing import interleave, seconds
from model.captioning.captioner import Captioner

__all__ = ["measure"]

Decoder = Callable[[bytes], Image.Image]


def measure(bench: Bench) -> list[Table]:
    """Time every decoder over all photographs, in turn, with and without making it small."""
    files, prepare = bench.photographs, bench.captioner.prepare
    expected = [prepare([_used(data)]) for data in files]
    decoders = _decoders(bench.captioner.config.preprocessing.size)
    calls: dict[str, Callable[[], object]] = {}
    for name, decode in decoders.items():
        calls[name] = partial(_decode_all, decode, files)
        calls[f"{name}, prepared"] = partial(_prepare_all, decode, files, bench.captioner)
    timed = interleave(
        {name: seconds(call) for name, call in calls.items()},
        rounds=bench.rounds,
        warmups=bench.warmups,
    )
    std = np.array(bench.captioner.config.preprocessing.std)[:, None, None]
    rows: list[Row] = []
    for name, decode in decoders.items():
        levels = [
            255 * np.abs(prepare([decode(data)]) - seen) * std
            for data, seen in zip(files, expected, strict=True)
        ]
        rows.append(
            {
                "decoder": name,
                "ms a file": _each(timed[name], files),
                "with prepare": _each(timed[f"{name}, prepared"], files),
                "grey levels apart, mean": float(np.mean([one.mean() for one in levels])),
                "at most": float(max(one.max() for one in levels)),
            }
        )
    notes = [
        f"Median [quartiles] of {bench.rounds} rounds in turn over {len(files)} photographs, "
        f"{SIZE[0]}x{SIZE[1]} JPEG, quality 90; alternatives that are not installed are left out.",
        "Apart: of the picture that the encoder sees, from the one that training saw.",
    ]
    return [Table("Decoding a JPEG file", rows, notes)]


def _decoders(size: int) -> dict[str, Decoder]:
    found: dict[str, Decoder] = {
        "Pillow (used)": _used,
        "Pillow, draft": lambda data: _draft(data, size),
    }
    if find_spec("torchvision"):
        found["torchvision"] = _torchvision
    if find_spec("simplejpeg"):
        found["simplejpeg"] = _simplejpeg
    return found


def _decode_all(decode: Decoder, files: list[bytes]) -> None:
    for data in files:
        decode(data)


def _prepare_all(decode: Decoder, files: list[bytes], captioner: Captioner) -> None:
    for data in files:
        captioner.prepare([decode(data)])


def _used(data: bytes) -> Image.Image:
    return decode_picture(data, MAX_PIXELS).image


def _draft(data: bytes, size: int) -> Image.Image:
    """Decode no more of each 8 x 8 block than the size asks for."""
    image = Image.open(BytesIO(data), formats=["JPEG"])
    image.draft("RGB", (size, size))
    return image.convert("RGB")


def _torchvision(data: bytes) -> Image.Image:
    import torch  # noqa: PLC0415
    from torchvision.io import decode_jpeg  # noqa: PLC0415

    file = torch.frombuffer(bytearray(data), dtype=torch.uint8)
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        pixels = decode_jpeg(file)
    return Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())


def _simplejpeg(data: bytes) -> Image.Image:
    import simplejpeg  # noqa: PLC0415

    pixels: NDArray[Any] = simplejpeg.decode_jpeg(data)
    return Image.fromarray(pixels)


def _each(values: list[float], files: list[bytes]) -> Sample:
    return Sample(tuple(1000 * value / len(files) for value in values))
