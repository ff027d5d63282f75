"""Peak resident memory, each case in a fresh process, so that peaks do not add up.

A peak counts everything resident, including library code that several processes would share.
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.bench import BATCH_SIZES, PYTORCH, ROOT, Bench
from benchmarks.peak import ONLY_IMPORT, ONLY_LOAD
from benchmarks.report import Row, Sample, Table
from benchmarks.timing import interleave

__all__ = ["measure", "measure_peak"]

_BEAM_SIZE = 3


def measure(bench: Bench) -> list[Table]:
    """Measure processes that only import, only load, or caption batches of each size."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number, data in enumerate(bench.photographs):
            (folder / f"{number:04}.jpg").write_bytes(data)
        cases = {"packages imported": ONLY_IMPORT, "captioner loaded": ONLY_LOAD}
        cases |= {f"captioning, batch {size}, beam {_BEAM_SIZE}": size for size in BATCH_SIZES}
        calls: dict[str, Callable[[], float]] = {
            f"{name} {runtime}": partial(measure_peak, bench, folder, size, runtime)
            for name, size in cases.items()
            for runtime in (bench.runtime, "torch")
        }
        peaks = interleave(calls, rounds=bench.launches, warmups=0)
    samples = {
        name: Sample(tuple(value / 1e6 for value in values)) for name, values in peaks.items()
    }
    rows: list[Row] = [
        {
            "process": name,
            "peak MB": samples[f"{name} {bench.runtime}"],
            PYTORCH: samples[f"{name} torch"],
        }
        for name in cases
    ]
    notes = [
        f"Median [quartiles] of {bench.launches} fresh processes in turn; those that caption do "
        "three batches of their size.",
    ]
    return [Table("Peak resident memory", rows, notes)]


def measure_peak(bench: Bench, photographs: Path, batch_size: int, runtime: str) -> float:
    """Start `benchmarks.peak` and return its peak, in bytes.

    Raises:
        RuntimeError: the process failed; the message holds its stderr.
    """
    threads = bench.served_threads
    arguments = [bench.weights.resolve(), photographs, batch_size, _BEAM_SIZE, threads, runtime]
    completed = subprocess.run(
        [sys.executable, "-m", "benchmarks.peak", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if completed.returncode:
        raise RuntimeError(f"benchmarks.peak failed:\n{completed.stderr}")
    return float(completed.stdout)
