"""JPEG decoding by every installed decoder, compared with the one in use.

Each row gives the time per file and how far the decoded and resized picture is from the one that
training used. What that difference does to captions is not measured.
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
    """Time every decoder over all photographs, in turn, with and without preprocessing."""
    files, prepare = bench.photographs, bench.captioner.prepare
    references = [prepare([_pillow(data)]) for data in files]
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
        differences = [
            255 * np.abs(prepare([decode(data)]) - reference) * std
            for data, reference in zip(files, references, strict=True)
        ]
        rows.append(
            {
                "decoder": name,
                "ms per file": _milliseconds_per_file(timed[name], files),
                "with prepare": _milliseconds_per_file(timed[f"{name}, prepared"], files),
                "mean difference, grey levels": float(
                    np.mean([difference.mean() for difference in differences])
                ),
                "largest difference": float(max(difference.max() for difference in differences)),
            }
        )
    notes = [
        f"Median [quartiles] of {bench.rounds} rounds in turn over {len(files)} photographs, "
        f"{SIZE[0]}x{SIZE[1]} JPEG, quality 90; decoders that are not installed are left out.",
        "The differences are between the encoder's input and the one that training used.",
    ]
    return [Table("Decoding a JPEG file", rows, notes)]


def _decoders(size: int) -> dict[str, Decoder]:
    decoders: dict[str, Decoder] = {
        "Pillow (used)": _pillow,
        "Pillow, draft": lambda data: _pillow_draft(data, size),
    }
    if find_spec("torchvision"):
        decoders["torchvision"] = _torchvision
    if find_spec("simplejpeg"):
        decoders["simplejpeg"] = _simplejpeg
    return decoders


def _decode_all(decode: Decoder, files: list[bytes]) -> None:
    for data in files:
        decode(data)


def _prepare_all(decode: Decoder, files: list[bytes], captioner: Captioner) -> None:
    for data in files:
        captioner.prepare([decode(data)])


def _pillow(data: bytes) -> Image.Image:
    return decode_picture(data, MAX_PIXELS).image


def _pillow_draft(data: bytes, size: int) -> Image.Image:
    """Decode each 8 x 8 block only as finely as `size` needs."""
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


def _milliseconds_per_file(values: list[float], files: list[bytes]) -> Sample:
    return Sample(tuple(1000 * value / len(files) for value in values))
