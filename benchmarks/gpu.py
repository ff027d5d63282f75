"""Pictures per second on a GPU, prepared ones, files and over HTTP, and tokens of language models.

Compares eager modules and CUDA graphs with the search of `benchmarks.baseline_server` at one
picture at a time, and with the roofline: the multiply-adds at the speed of one large matrix
product. Decoding and preparing run on the CPU; `benchmarks.stages` measures them.
"""

import subprocess
from collections.abc import Callable
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import nn

from app.cores import usable_cores
from app.pictures.decode import decode_picture
from benchmarks.baseline_server import search as baseline_search
from benchmarks.bench import PYTORCH, ROOT, SIZE, Bench
from benchmarks.closed_loop import LoadResult, Request, send_closed_loop
from benchmarks.language_models import generate
from benchmarks.report import Row, Sample, Table
from benchmarks.roofline import count_cost
from benchmarks.server import UNROLLED, running_server
from benchmarks.stages import MAX_PIXELS
from benchmarks.timing import interleave, quantile, seconds
from model.bundle.read import load_text_bundle
from model.captioning.captioner import Captioner
from model.preprocessing import Pixels
from model.runtime.cuda import CudaGraphRunner
from model.runtime.options import Precision, Runtime
from model.runtime.pytorch import TorchRunner
from model.text.language_model import LanguageModel

__all__ = ["measure"]

_PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16", "float16")
_BATCH_SIZES = (1, 8, 32, 128)
_BEAM_SIZE = 3
_FILES = (1_000, 6_000)
_CLIENTS = (1, 16, 64)
_TEXTS = (1, 16)
_SERVED_BATCH, _QUEUE = 64, 96  # of the service, whose defaults would refuse so many clients
_MATRIX_SIZE = 8192

_UNAVAILABLE = "Nothing was measured: PyTorch finds no GPU on this machine."


def measure(bench: Bench, device: str = "cuda") -> list[Table]:
    """Measure prepared pictures, files and requests; without a GPU the table is empty."""
    if device == "cuda" and not torch.cuda.is_available():
        return [Table("Pictures per second on a GPU", [], [_UNAVAILABLE])]
    return [
        _prepared(bench, device),
        _files(bench, device),
        _over_http(bench, device),
        *_language_models(bench, device),
    ]


def _prepared(bench: Bench, device: str) -> Table:
    """Time every batch size at every precision, from prepared pictures to captions."""
    rows: list[Row] = []
    for precision in _PRECISIONS:
        captioners = {
            name: Captioner.load(bench.weights, device, runtime=runtime, precision=precision)
            for name, runtime in _runtimes(device).items()
        }
        rows += _rows(bench, captioners, precision)
    notes = [
        f"On {_name(device)}, beam {_BEAM_SIZE}, from prepared pictures to captions; median "
        f"[quartiles] of {bench.rounds} rounds in turn. baseline: the search of "
        "`benchmarks/baseline_server.py`, one picture at a time, in the same precision.",
        f"roofline: the multiply-adds at the speed of a {_MATRIX_SIZE}x{_MATRIX_SIZE} matrix "
        "product in the same precision; beyond that, a step waits for memory and kernel launches.",
    ]
    if device == "cuda":
        peak = torch.cuda.max_memory_reserved() / 1e6
        notes.append(f"At most {peak:,.0f} MB of the GPU were reserved, by all of these together.")
    return Table("Pictures per second on a GPU", rows, notes)


def _files(bench: Bench, device: str) -> Table:
    """Time `unrolled caption` on two folders; what one takes longer is without its start."""
    with TemporaryDirectory() as folder:
        few, many = (_copy_photographs(bench, Path(folder), count) for count in _FILES)
        calls = {
            pictures.name: seconds(partial(_caption_folder, bench, device, pictures))
            for pictures in (few, many)
        }
        timed = interleave(calls, rounds=bench.launches, warmups=0)
    times = zip(timed[few.name], timed[many.name], strict=True)
    more = _FILES[1] - _FILES[0]
    row: Row = {
        "pictures per second": Sample(tuple(more / (long - short) for short, long in times))
    }
    notes = [
        f"`unrolled caption FOLDER` on {_name(device)}, {usable_cores()} cores, "
        f"{SIZE[0]}x{SIZE[1]} JPEG files, beam {_BEAM_SIZE}: what "
        f"{_FILES[1]:,} files take longer than {_FILES[0]:,}; median [quartiles] of "
        f"{bench.launches} pairs.",
    ]
    return Table("Files per second on a GPU", [row], notes)


def _copy_photographs(bench: Bench, folder: Path, count: int) -> Path:
    pictures = folder / str(count)
    pictures.mkdir()
    for number, photograph in enumerate(islice(cycle(bench.photographs), count)):
        (pictures / f"{number}.jpg").write_bytes(photograph)
    return pictures


def _caption_folder(bench: Bench, device: str, pictures: Path) -> None:
    command = [*UNROLLED, "caption", str(pictures), "--output", f"{pictures}.jsonl"]
    command += ["--device", device, "--model", str(bench.weights.resolve())]
    subprocess.run(
        [*command, "--beam-size", str(_BEAM_SIZE)], cwd=ROOT, check=True, capture_output=True
    )
    Path(f"{pictures}.jsonl").unlink()


def _over_http(bench: Bench, device: str) -> Table:
    """Load the service with every number of clients, in turn."""
    variables = {"UNROLLED_BATCH_SIZE": str(_SERVED_BATCH), "UNROLLED_QUEUE_SIZE": str(_QUEUE)}
    with running_server(bench, device=device, variables=variables) as server:
        calls: dict[str, Callable[[], LoadResult]] = {
            str(clients): partial(_load, server.port, bench, clients) for clients in _CLIENTS
        }
        loads = interleave(calls, rounds=bench.slow_rounds, warmups=2)
    rows: list[Row] = []
    for clients, results in loads.items():
        milliseconds = [1000 * latency for load in results for latency in load.latencies]
        row: Row = {
            "clients": clients,
            "requests per second": Sample(tuple(load.requests_per_second for load in results)),
            "median ms": quantile(milliseconds, 0.5),
            "95th percentile ms": quantile(milliseconds, 0.95),
        }
        rows.append(row)
    notes = [
        f"`unrolled serve` on {_name(device)}, {usable_cores()} cores, which the clients share, "
        f"with batches of {_SERVED_BATCH} and a queue of {_QUEUE}; beam {_BEAM_SIZE}, "
        f"{SIZE[0]}x{SIZE[1]} JPEG; median [quartiles] of {bench.slow_rounds} rounds in turn, "
        "after two that do not count.",
    ]
    return Table("Requests per second on a GPU", rows, notes)


def _language_models(bench: Bench, device: str) -> list[Table]:
    """Time the generation of texts by every language model in `text/`; no table without one."""
    folders = sorted(path.parent for path in bench.weights.parent.glob("text/*/config.json"))
    bundles = {folder.name: load_text_bundle(folder) for folder in folders}
    models = {
        f"{model}, {name}": LanguageModel.from_bundle(bundle, device, runtime)
        for model, bundle in bundles.items()
        for name, runtime in _runtimes(device).items()
    }
    calls = {
        f"{name}, {texts}": partial(generate, model, texts)
        for name, model in models.items()
        for texts in _TEXTS
    }
    if not calls:
        return []
    timed = interleave(calls, rounds=bench.slow_rounds, warmups=1)
    rows: list[Row] = []
    for model in bundles:
        for texts in _TEXTS:
            row: dict[str, str | float | Sample] = {"model": model, "texts at once": texts}
            for name in _runtimes(device):
                row[name] = Sample(tuple(timed[f"{model}, {name}, {texts}"]))
            rows.append(row)
    notes = [
        f"On {_name(device)}; 200 tokens a text, from drawing them on the host to their text; "
        f"median [quartiles] of {bench.slow_rounds} rounds in turn."
    ]
    return [Table("Tokens generated per second on a GPU", rows, notes)]


def _runtimes(device: str) -> dict[str, Runtime]:
    """Return the runtimes that are compared, by the names that the tables give them."""
    graphs: dict[str, Runtime] = {"CUDA graphs": "cuda_graphs"} if device == "cuda" else {}
    return {PYTORCH: "torch", **graphs}


def _load(port: int, bench: Bench, clients: int) -> LoadResult:
    requests = (Request(photograph, f"?beam_size={_BEAM_SIZE}") for photograph in bench.photographs)
    count = max(bench.requests, 20 * clients)
    return send_closed_loop(port, islice(cycle(requests), count), clients)


def _name(device: str) -> str:
    return torch.cuda.get_device_name() if device == "cuda" else device


def _rows(bench: Bench, captioners: dict[str, Captioner], precision: str) -> list[Row]:
    pictures = [decode_picture(data, MAX_PIXELS).image for data in bench.photographs]
    eager = captioners[PYTORCH]
    calls: dict[str, Callable[[], float]] = {}
    for name, captioner in captioners.items():
        prepared = captioner.prepare(pictures)
        for size in _BATCH_SIZES:
            batch = prepared[np.arange(size) % len(prepared)]
            calls[f"{name}, {size}"] = seconds(partial(_caption, captioner, batch))
    for call in calls.values():
        call()
    for captioner in captioners.values():
        if isinstance(captioner.runner, CudaGraphRunner):
            captioner.runner.finish_captures()
    one = eager.prepare(pictures[:1])
    calls["baseline"] = seconds(partial(_baseline, eager, one))
    product, multiply_adds = _matmul_probe(eager.device, precision)
    calls["matmul"] = seconds(product)
    timed = interleave(calls, rounds=bench.rounds, warmups=max(1, bench.warmups))
    cost = count_cost(partial(_caption, eager, one), _modules(eager))
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


def _caption(captioner: Captioner, pixels: Pixels) -> None:
    # Reading the captions back synchronises with the device.
    captioner.search(captioner.encode(pixels), beam_size=_BEAM_SIZE)


def _baseline(captioner: Captioner, pixels: Pixels) -> None:
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
