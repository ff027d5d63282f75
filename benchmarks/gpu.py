"""Pictures a second on a GPU: encoder and search on the device, by batch and precision.

Prepared pictures in, captions out; decoding files is the processor's work, which `stages` measures.
PyTorch's modules as they are, and as CUDA graphs; beside them the plain eager search of
`benchmarks.baseline_server`, one picture at a time, and the floor: what the multiply-adds would
take at the speed of one large matrix product. Knows a device by PyTorch's name for it; does not
know HTTP.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from app.pictures.decode import decode_picture
from benchmarks.baseline_server import search as plain_search
from benchmarks.bench import Bench
from benchmarks.report import Row, Sample, Table
from benchmarks.roofline import count
from benchmarks.stages import MAX_PIXELS
from benchmarks.timing import interleave, seconds
from model.captioning.captioner import Captioner
from model.runtime.base import Precision
from model.runtime.pytorch import TorchRunner
from model.runtime.select import Runtime

__all__ = ["measure"]

_PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16", "float16")
_BATCHES = (1, 8, 32, 128)
_BEAM = 3
_EDGE = 8192

_LACKING = "This machine has no GPU that PyTorch knows: nothing was measured."


def measure(bench: Bench, device: str = "cuda") -> list[Table]:
    """Time every batch at every precision, in turn; an empty table where there is no GPU."""
    if device == "cuda" and not torch.cuda.is_available():
        return [Table("Pictures a second on a GPU", [], [_LACKING])]
    runtimes: dict[str, Runtime] = {"modules": "torch"}
    if device == "cuda":
        runtimes["CUDA graphs"] = "cuda_graphs"
    rows: list[Row] = []
    for precision in _PRECISIONS:
        captioners = {
            name: Captioner.load(bench.weights, device, runtime=runtime, precision=precision)
            for name, runtime in runtimes.items()
        }
        rows += _rows(bench, captioners, precision)
    name = torch.cuda.get_device_name() if device == "cuda" else device
    notes = [
        f"On {name}, beam {_BEAM}, from prepared pictures to captions; median [quartiles] of "
        f"{bench.rounds} rounds in turn. `plain` is the search of `benchmarks/baseline_server.py`, "
        "one picture at a time, in the same precision.",
        f"The floor is the multiply-adds at the speed of a matrix product of {_EDGE} by {_EDGE} in "
        "the same precision; beyond it a step waits for memory and for kernels to start.",
    ]
    return [Table("Pictures a second on a GPU", rows, notes)]


def _rows(bench: Bench, captioners: dict[str, Captioner], precision: str) -> list[Row]:
    pictures = [decode_picture(data, MAX_PIXELS).image for data in bench.photographs]
    eager = captioners["modules"]
    prepared = eager.prepare(pictures)  # (photographs, 3, size, size)
    batches = {size: prepared[np.arange(size) % len(prepared)] for size in _BATCHES}
    calls: dict[str, Callable[[], float]] = {
        f"{name}, {size}": seconds(partial(_caption, captioner, batch))
        for name, captioner in captioners.items()
        for size, batch in batches.items()
    }
    calls["plain"] = seconds(partial(_plain, eager, prepared[:1]))
    multiply, multiplied = _multiply(eager.device, precision)
    calls["multiply"] = seconds(multiply)
    timed = interleave(calls, rounds=bench.rounds, warmups=max(1, bench.warmups))
    work = count(partial(_caption, eager, prepared[:1]), _running(eager))
    least = work.multiply_adds * min(timed["multiply"]) / multiplied  # seconds a picture
    rows: list[Row] = []
    for name in captioners:
        row: dict[str, str | float | Sample] = {"precision": precision, "run as": name}
        row["plain"] = Sample(tuple(1 / value for value in timed["plain"]))
        speeds = {size: [size / value for value in timed[f"{name}, {size}"]] for size in _BATCHES}
        for size, values in speeds.items():
            row[f"batch {size}"] = Sample(tuple(values))
        best = max(map(max, speeds.values()))
        rows.append({**row, "floor": 1 / least, "times the floor's time": 1 / (least * best)})
    return rows


def _caption(captioner: Captioner, pixels: NDArray[np.float32]) -> None:
    # Reading the captions back waits for the device.
    captioner.search(captioner.encode(pixels), beam_size=_BEAM)


def _plain(captioner: Captioner, pixels: NDArray[np.float32]) -> None:
    runner = captioner.runner
    plain_search(captioner, runner.place(pixels))


def _multiply(device: str, precision: str) -> tuple[Callable[[], object], int]:
    edge = _EDGE if device != "cpu" else 256
    left, right = (
        torch.randn(edge, edge, device=device).to(getattr(torch, precision)) for _ in range(2)
    )

    def call() -> None:
        (left @ right)[0, 0].item()  # which waits for the device

    return call, edge**3


def _running(captioner: Captioner) -> nn.Module:
    runner = captioner.runner
    assert isinstance(runner, TorchRunner)  # noqa: S101 - as it was loaded
    return nn.ModuleList([runner.encoder, runner.network.decoder])
