"""Whether a server's memory grows over thousands of varied requests.

Several clients send pictures from thumbnails to two megapixels, portrait and landscape, in three
formats, with every beam size and optional output. Memory is read while the server is idle.
"""

import io
import random
from collections.abc import Iterator
from itertools import cycle, islice, product

from PIL import Image, ImageOps

from benchmarks.bench import BEAM_SIZES, Bench
from benchmarks.closed_loop import Request, send_closed_loop
from benchmarks.peak import resident_bytes
from benchmarks.report import Row, Table
from benchmarks.server import running_server

__all__ = ["measure", "requests"]

_CLIENTS = 4
_PARTS = 10
_SIZES = ((64, 48), (200, 300), (480, 640), (640, 480), (1024, 768), (900, 1600), (1600, 1200))
_FORMATS = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}


def measure(bench: Bench) -> list[Table]:
    """Send the requests in ten parts and read the memory after each."""
    sent = requests(bench)
    part = max(1, bench.soak_requests // _PARTS)
    rows: list[Row] = []
    with running_server(bench) as server:
        resident = [resident_bytes(server.pid)]
        speeds: list[float] = []
        for _ in range(_PARTS):
            speeds.append(
                send_closed_loop(server.port, islice(sent, part), _CLIENTS).requests_per_second
            )
            resident.append(resident_bytes(server.pid))
    for number, size in enumerate(resident):
        row: dict[str, str | float] = {"requests": number * part}
        row["resident MB"] = "unknown" if size is None else size / 1e6
        if number:
            row["requests per second"] = speeds[number - 1]
        rows.append(row)
    notes = [
        f"{_CLIENTS} clients; pictures of {len(_SIZES)} shapes from 64x48 to 1600x1200 as "
        f"{', '.join(_FORMATS)}, beams {', '.join(map(str, BEAM_SIZES))}, with and without "
        "attention and image_gain, all at random. Every status was 200.",
    ]
    first, last = resident[1], resident[-1]
    if first is not None and last is not None:
        growth = (last - first) / 1e6
        notes.append(
            f"From request {part:,} to request {_PARTS * part:,} it grew by "
            f"{growth:+.1f} MB, {100 * growth * 1e6 / first:+.1f} per cent."
        )
    return [Table("Memory of a server in use", rows, notes)]


def requests(bench: Bench) -> Iterator[Request]:
    """Yield random requests without end, the same ones every time."""
    pictures = [
        (media_type, _resize(photograph, size, name))
        for photograph, size in zip(cycle(bench.photographs), _SIZES, strict=False)
        for name, media_type in _FORMATS.items()
    ]
    # A bundle without a mean picture cannot measure image_gain: asking for it is an error.
    gains = (False, True) if bench.captioner.has_image_gain else (False,)
    queries = [
        f"?beam_size={beam}&attention={str(attention).lower()}&image_gain={str(gain).lower()}"
        for beam, attention, gain in product(BEAM_SIZES, (False, True), gains)
    ]
    draw = random.Random(0)
    while True:
        media_type, picture = draw.choice(pictures)
        yield Request(picture, draw.choice(queries), media_type)


def _resize(photograph: bytes, size: tuple[int, int], name: str) -> bytes:
    file = io.BytesIO()
    with Image.open(io.BytesIO(photograph)) as picture:
        ImageOps.fit(picture, size).save(file, name)
    return file.getvalue()
