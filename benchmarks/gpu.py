"""Pictures per second on a GPU, from prepared pictures to captions, by batch size and precision.

Compares eager modules and CUDA graphs with the search of `benchmarks.baseline_server` at one
picture at a time, and with the roofline: the multiply-adds at the speed of one large matrix
product. Decoding and preparing run on the CPU; `benchmarks.stages` measures them.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from app.pictures.decode import decode_picture
from benchmarks.baseline_server import search as baseline_search
from benchmarks.bench import PYTORCH, Bench
from benchmarks.report import Row, Sample, Table
from benchmarks.roofline import count_cost
from benchmarks.stages import MAX_PIXELS
from benchmarks.timing import interleave, seconds
from model.captioning.captioner import Captioner
from model.runtime.options import Precision, Runtime
from model.runtime.pytorch import TorchRunner

__all__ = ["measure"]

_PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16", "float16")
_BATCH_SIZES = (1, 8, 32, 128)
_BEAM_SIZE = 3
_MATRIX_SIZE = 8192

_UNAVAILABLE = "Nothing was measured: PyTorch finds no GPU on this machine."


def measure(bench: Bench, device: str = "cuda") -> list[Table]:
    """Time every batch size at every precision, in turn; without a GPU the table is empty."""
    if device == "cuda" and not torch.cuda.is_available():
        return [Table("Pictures per second on a GPU", [], [_UNAVAILABLE])]
    runtimes: dict[str, Runtime] = {PYTORCH: "torch"}
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
        f"On {name}, beam {_BEAM_SIZE}, from prepared pictures to captions; median [quartiles] of "
        f"{bench.rounds} rounds in turn. baseline: the search of `benchmarks/baseline_server.py`, "
        "one picture at a time, in the same precision.",
        f"roofline: the multiply-adds at the speed of a {_MATRIX_SIZE}x{_MATRIX_SIZE} matrix "
        "product in the same precision; beyond that, a step waits for memory and kernel launches.",
    ]
    return [Table("Pictures per second on a GPU", rows, notes)]


def _rows(bench: Bench, captioners: dict[str, Captioner], precision: str) -> list[Row]:
    pictures = [decode_picture(data, MAX_PIXELS).image for data in bench.photographs]
    eager = captioners[PYTORCH]
    prepared = eager.prepare(pictures)  # (photographs, 3, size, size)
    batches = {size: prepared[np.arange(size) % len(prepared)] for size in _BATCH_SIZES}
    calls: dict[str, Callable[[], float]] = {
        f"{name}, {size}": seconds(partial(_caption, captioner, batch))
        for name, captioner in captioners.items()
        for size, batch in batches.items()
    }
    calls["baseline"] = seconds(partial(_baseline, eager, prepared[:1]))
    product, multiply_adds = _matmul_probe(eager.device, precision)
    calls["matmul"] = seconds(product)
    timed = interleave(calls, rounds=bench.rounds, warmups=max(1, bench.warmups))
    cost = count_cost(partial(_caption, eager, prepared[:1]), _modules(eager))
    roofline = cost.multiply_adds * min(timed["matmul"]) / multiply_adds  # seconds per picture
    rows: list[Row] = []
    for name in captioners:
        row: dict[str, str | float | Sample] = {"precision": precision, "runtime": name}
        row["baseline"] = Sample(tuple(1 / value for value in timed["baseline"]))
        speeds = {
            size: [size / value for value in timed[f"{name}, {size}"]] for size in _BATCH_SIZES
        }
        for size, values in speeds.items():
            row[f"batch {size}"] = Sample(tuple(values))
        best = max(map(max, speeds.values()))
        rows.append({**row, "roofline": 1 / roofline, "roofline / best": 1 / (roofline * best)})
    return rows


def _caption(captioner: Captioner, pixels: NDArray[np.float32]) -> None:
    # Reading the captions back synchronises with the device.
    captioner.search(captioner.encode(pixels), beam_size=_BEAM_SIZE)


def _baseline(captioner: Captioner, pixels: NDArray[np.float32]) -> None:
    runner = captioner.runner
    baseline_search(captioner, runner.place(pixels))


def _matmul_probe(device: str, precision: str) -> tuple[Callable[[], object], int]:
    size = _MATRIX_SIZE if device != "cpu" else 256
    left, right = (
        torch.randn(size, size, device=device).to(getattr(torch, precision)) for _ in range(2)
    )

    def call() -> None:
        (left @ right)[0, 0].item()  # synchronises with the device

    return call, size**3


def _modules(captioner: Captioner) -> nn.Module:
    runner = captioner.runner
    assert isinstance(runner, TorchRunner)  # noqa: S101 - loaded with a torch runtime
    return nn.ModuleList([runner.encoder, runner.network.decoder])
