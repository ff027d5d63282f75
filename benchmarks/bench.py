"""What every suite is given: the bundle, the photographs, how often to measure.

Knows no measurement. The captioner is loaded only when a suite asks for it, on the CPU.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from PIL import Image, ImageOps

from app.cores import usable_cores
from benchmarks.report import Table
from model.captioning.captioner import Captioner
from model.runtime.base import Precision
from model.runtime.select import Runtime

__all__ = ["BATCH_SIZES", "BEAM_SIZES", "PYTORCH", "ROOT", "SIZE", "Bench", "Suite"]

ROOT = Path(__file__).resolve().parents[1]
SIZE = (640, 480)
BEAM_SIZES = (1, 3, 5)
BATCH_SIZES = (1, 8, 32)
PYTORCH = "by PyTorch"  # the column of the same work done by eager modules


@dataclass
class Bench:
    """One run's settings.

    Args:
        weights: the bundle's folder.
        pictures: folder of photographs, `*.jpg`.
        rounds: how often what takes milliseconds is measured.
        slow_rounds: how often what takes seconds is.
        launches: how often what needs a process of its own is.
        requests: how many of each kind are sent over HTTP.
        soak_requests: how many a soak sends.
        overload_seconds: how long a server is offered too much.
        threads: of the model; None takes as many as the service would.
        runtime: of the captioner that is measured.
    """

    weights: Path
    pictures: Path
    rounds: int = 31
    slow_rounds: int = 5
    launches: int = 3
    requests: int = 200
    warmups: int = 2
    soak_requests: int = 10_000
    overload_seconds: float = 15.0
    threads: int | None = None
    runtime: Runtime = "auto"

    @cached_property
    def captioner(self) -> Captioner:
        """The captioner as it is served, on the CPU."""
        return self.in_precision("float32")

    @cached_property
    def eager(self) -> Captioner:
        """The same captioner, run by PyTorch."""
        return Captioner.load(self.weights, "cpu", runtime="torch", threads=self.served_threads)

    def in_precision(self, precision: Precision) -> Captioner:
        """Load the captioner as it is served, but in another precision."""
        threads = self.served_threads
        return Captioner.load(
            self.weights, "cpu", runtime=self.runtime, threads=threads, precision=precision
        )

    @property
    def served_threads(self) -> int:
        """How many threads the model of `unrolled serve` gets, and so what is beside it."""
        return self.threads or usable_cores()

    @cached_property
    def photographs(self) -> list[bytes]:
        """Every photograph as a JPEG file of `SIZE`, cut to that shape from its centre.

        Raises:
            ValueError: there is none.
        """
        paths = sorted(self.pictures.glob("*.jpg"))
        if not paths:
            raise ValueError(f"there is no *.jpg in {self.pictures}: give a folder of photographs")
        return [_as_jpeg(path) for path in paths]


Suite = Callable[[Bench], list[Table]]


def _as_jpeg(path: Path) -> bytes:
    with Image.open(path) as picture:
        fitted = ImageOps.fit(picture.convert("RGB"), SIZE, Image.Resampling.BICUBIC)
    file = io.BytesIO()
    fitted.save(file, "JPEG", quality=90)
    return file.getvalue()
