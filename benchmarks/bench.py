"""The settings that every suite receives: bundle, photographs and numbers of repetitions.

The captioner is loaded on the CPU when a suite first needs it.
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
from model.runtime.options import Precision, Runtime

__all__ = ["BATCH_SIZES", "BEAM_SIZES", "PYTORCH", "ROOT", "SIZE", "Bench", "Suite"]

ROOT = Path(__file__).resolve().parents[1]
SIZE = (640, 480)
BEAM_SIZES = (1, 3, 5)
BATCH_SIZES = (1, 8, 32)
PYTORCH = "eager PyTorch"  # the column for the same work in eager PyTorch modules


@dataclass
class Bench:
    """The settings of one run.

    Args:
        weights: the captioner's bundle.
        pictures: folder of photographs, `*.jpg`.
        rounds: repetitions of what takes milliseconds.
        slow_rounds: repetitions of what takes seconds.
        launches: repetitions of what needs a new process.
        requests: HTTP requests of each kind.
        warmups: rounds before the first one that counts.
        soak_requests: requests of the soak test.
        overload_seconds: how long the overload test lasts.
        fuzzed_pictures: mutated pictures that are decoded.
        threads: threads of the model; None for as many as the service uses.
        runtime: runtime of the captioner.
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
    fuzzed_pictures: int = 3_000
    threads: int | None = None
    runtime: Runtime = "auto"

    @cached_property
    def captioner(self) -> Captioner:
        """The captioner as the service runs it on a CPU."""
        return self.in_precision("float32")

    @cached_property
    def eager(self) -> Captioner:
        """The same captioner in eager PyTorch."""
        return Captioner.load(self.weights, "cpu", runtime="torch", threads=self.served_threads)

    def in_precision(self, precision: Precision) -> Captioner:
        """Load the captioner as the service runs it, in the given precision."""
        threads = self.served_threads
        return Captioner.load(
            self.weights, "cpu", runtime=self.runtime, threads=threads, precision=precision
        )

    @property
    def served_threads(self) -> int:
        """Threads of the model in `unrolled serve`, and so in everything compared with it."""
        return self.threads or usable_cores()

    @cached_property
    def photographs(self) -> list[bytes]:
        """Every photograph as a JPEG file of `SIZE`, cropped to that shape around its centre.

        Raises:
            ValueError: the folder has no photographs.
        """
        paths = sorted(self.pictures.glob("*.jpg"))
        if not paths:
            raise ValueError(f"no *.jpg in {self.pictures}: choose a folder of photographs")
        return [_as_jpeg(path) for path in paths]


Suite = Callable[[Bench], list[Table]]


def _as_jpeg(path: Path) -> bytes:
    with Image.open(path) as picture:
        fitted = ImageOps.fit(picture.convert("RGB"), SIZE, Image.Resampling.BICUBIC)
    file = io.BytesIO()
    fitted.save(file, "JPEG", quality=90)
    return file.getvalue()
