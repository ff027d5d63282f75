"""A process that captions a while and prints its own peak of resident memory, in bytes.

    python -m benchmarks.peak WEIGHTS PHOTOGRAPHS BATCH_SIZE BEAM_SIZE THREADS RUNTIME

Imports nothing that captioning does not need, since what it imports is measured.
"""

from __future__ import annotations

import sys
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from model.runtime.select import Runtime

__all__ = ["ONLY_IMPORT", "ONLY_LOAD", "peak_bytes", "resident_bytes"]

ONLY_IMPORT = -1
ONLY_LOAD = 0

_MAX_PIXELS = 50_000_000


def peak_bytes(pid: int | str = "self") -> int | None:
    """Read the peak of resident memory of a process; None where the system does not keep one.

    Linux alone keeps it by process image. `getrusage` would start at the size of the process that
    started this one.
    """
    peak = _status_bytes(pid, "VmHWM")
    return _peak_by_usage() if peak is None and pid == "self" else peak


def resident_bytes(pid: int) -> int | None:
    """Read what of a process is resident now; None where the system does not say, as peaks."""
    return _status_bytes(pid, "VmRSS")


def _status_bytes(pid: int | str, name: str) -> int | None:
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def _peak_by_usage() -> int:
    import resource  # noqa: PLC0415 - Windows has none

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _main(
    weights: str, photographs: str, sizes: tuple[int, int], threads: int, runtime: Runtime
) -> None:
    from app.pictures.decode import decode_picture  # noqa: PLC0415 - who only reads a peak needs none
    from model.captioning.captioner import Captioner  # noqa: PLC0415

    if runtime == "torch":
        import model.runtime.pytorch  # noqa: F401, PLC0415
    batch_size, beam_size = sizes
    if batch_size == ONLY_IMPORT:
        return
    captioner = Captioner.load(weights, "cpu", runtime=runtime, threads=threads)
    files = [path.read_bytes() for path in sorted(Path(photographs).glob("*.jpg"))]
    for _ in range(3 if batch_size else 0):
        batch = islice(cycle(files), batch_size)
        pictures = [decode_picture(data, _MAX_PIXELS).image for data in batch]
        captioner.caption(pictures, beam_size=beam_size)


if __name__ == "__main__":
    batch, beam, number = map(int, sys.argv[3:6])
    _main(sys.argv[1], sys.argv[2], (batch, beam), number, cast("Runtime", sys.argv[6]))
    print(peak_bytes())
