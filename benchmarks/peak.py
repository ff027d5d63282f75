"""A process that captions a few batches and prints its peak of resident memory in bytes.

    python -m benchmarks.peak WEIGHTS PHOTOGRAPHS BATCH_SIZE BEAM_SIZE THREADS RUNTIME

It imports only what captioning needs, since imports count towards the peak.
"""

from __future__ import annotations

import sys
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from model.runtime.options import Runtime

__all__ = ["ONLY_IMPORT", "ONLY_LOAD", "peak_bytes", "resident_bytes"]

ONLY_IMPORT = -1
ONLY_LOAD = 0

_MAX_PIXELS = 50_000_000


def peak_bytes(pid: int | str = "self") -> int | None:
    """Return a process's peak of resident memory, or None where the system does not record it.

    On Linux the peak counts from the start of the process's program; `getrusage` would start at the
    size of the parent process.
    """
    peak = _status_bytes(pid, "VmHWM")
    return _peak_by_usage() if peak is None and pid == "self" else peak


def resident_bytes(pid: int) -> int | None:
    """Return a process's resident memory, or None where the system does not record it."""
    return _status_bytes(pid, "VmRSS")


def _status_bytes(pid: int | str, name: str) -> int | None:
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def _peak_by_usage() -> int:
    import resource  # noqa: PLC0415 - not on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _main(
    weights: str, photographs: str, sizes: tuple[int, int], threads: int, runtime: Runtime
) -> None:
    from app.pictures.decode import decode_picture  # noqa: PLC0415 - only the main program
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
