"""How soon `unrolled serve` answers after it is started, and how fast one client is served.

A real server in a process of its own, reached over HTTP on this machine by the plainest client
that Python has. Knows the routes, and how to start the plain server that it is compared with; does
not know what a network, TLS or several clients would add.
"""

import http.client
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from pathlib import Path

from benchmarks.bench import BEAM_SIZES, ROOT, Bench
from benchmarks.peak import peak_bytes
from benchmarks.report import Row, Sample, Table
from benchmarks.timing import interleave, quantile, seconds
from model.runtime.base import Precision

__all__ = [
    "Server",
    "caption",
    "get",
    "measure",
    "measure_latency",
    "measure_startup",
    "running",
    "running_baseline",
]

_PAUSE = 0.01
_KEPT = {"UNROLLED_CACHE"}
_PATIENCE = 120.0

# What the command `unrolled` does, wherever it is installed.
_UNROLLED = [sys.executable, "-c", "from app.cli.main import app; app()"]
# Leaves at once, since what Python tidies up in the end is not waited for in a server either.
_PACKAGES = "import os, fastapi, timm, torch, torchvision, uvicorn; os._exit(0)"
_IMPORT = [sys.executable, "-c", _PACKAGES]


@dataclass(frozen=True)
class Server:
    """A server that is ready; the seconds are from before its process was started."""

    pid: int
    port: int
    client: http.client.HTTPConnection
    listening: float
    ready: float


def measure(bench: Bench) -> list[Table]:
    """Start servers again and again, then send requests to one."""
    return [measure_startup(bench), measure_latency(bench)]


@contextmanager
def running(
    bench: Bench, weights: Path | None = None, precision: Precision = "float32"
) -> Iterator[Server]:
    """Start `unrolled serve` on a free port, wait until it is ready, stop it in the end.

    Args:
        bench: the bundle, and how it is run.
        weights: what it serves; the captioner alone, if not given.
        precision: of the captioner.

    Raises:
        RuntimeError: it stopped or was not ready in time; the message holds what it said.
    """
    command = [*_UNROLLED, "serve", "--port", "0", "--device", "cpu", "--runtime", bench.runtime]
    command += ["--weights", str((weights or bench.weights).resolve())]
    settings: dict[str, str] = {"UNROLLED_PRECISION": precision}
    if bench.threads:
        settings["UNROLLED_THREADS"] = str(bench.threads)
    with _started(command, settings, "/health/ready") as server:
        yield server


@contextmanager
def running_baseline(bench: Bench) -> Iterator[Server]:
    """Start the baseline server with the same bundle and as many threads, as `running` does.

    Raises:
        RuntimeError: it stopped or was not ready in time; the message holds what it said.
    """
    weights, threads = str(bench.weights.resolve()), str(bench.served_threads)
    command = [sys.executable, "-m", "benchmarks.baseline_server", weights, "0", threads]
    # It listens once its model is loaded, and has no route for health.
    with _started(command, {}, "/openapi.json") as server:
        yield server


@contextmanager
def _started(command: Sequence[str], settings: dict[str, str], ready: str) -> Iterator[Server]:
    """Start a server that prints its address, and wait until the path `ready` is 200."""
    environment = {
        k: v for k, v in os.environ.items() if not k.startswith("UNROLLED_") or k in _KEPT
    }
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "output"
        with output.open("wb") as file:
            began = time.perf_counter()
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment | settings,
                stdout=file,
                stderr=subprocess.STDOUT,
            )
        try:
            port = _wait(partial(_port, output), process, output)
            listening = time.perf_counter() - began
            with closing(
                http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE)
            ) as client:
                _wait(lambda: get(client, ready) == 200, process, output)
                yield Server(process.pid, port, client, listening, time.perf_counter() - began)
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def measure_startup(bench: Bench) -> Table:
    """Time what a new server takes to listen, to be ready and to caption."""
    listening: list[float] = []
    ready: list[float] = []

    def start() -> float:
        began = time.perf_counter()
        with running(bench) as server:
            caption(server.client, bench.photographs[0])
            answered = time.perf_counter() - began
        listening.append(server.listening)
        ready.append(server.ready)
        return answered

    calls = {"packages": seconds(_import), "answered": start}
    found = interleave(calls, rounds=bench.launches, warmups=1)
    moments = {
        "listening (/health/live is 200)": listening[1:],  # the first was the warm-up
        "/health/ready is 200": ready[1:],
        "first caption answered": found["answered"],
        "for comparison: Python imports the packages": found["packages"],
    }
    rows: list[Row] = [
        {"moment": name, "seconds": Sample(tuple(values))} for name, values in moments.items()
    ]
    notes = [
        f"Seconds after `unrolled serve` was started, median [quartiles] of {bench.launches} "
        "starts, after one that is not counted, which leaves most files in the page cache.",
        "The packages are FastAPI, timm, torch, torchvision and uvicorn; by OpenVINO the server "
        "needs only the first and the last.",
        f"Asked every {1000 * _PAUSE:.0f} ms, which is as exact as it gets.",
    ]
    return Table("From start to answer", rows, notes)


def measure_latency(bench: Bench) -> Table:
    """Time the requests of one client, in turn over the beam sizes."""
    with running(bench) as server:
        calls: dict[str, Callable[[], float]] = {
            f"POST /caption, beam {beam_size}": _caption_in_turn(server.client, bench, beam_size)
            for beam_size in BEAM_SIZES
        }
        calls["for comparison: GET /health/live"] = seconds(
            partial(get, server.client, "/health/live")
        )
        found = interleave(calls, rounds=bench.requests, warmups=2 * bench.warmups)
        peak = peak_bytes(server.pid)
    rows: list[Row] = []
    for name, values in found.items():
        milliseconds = [1000 * value for value in values]
        rows.append(
            {
                "request": name,
                "ms": Sample(tuple(milliseconds)),
                "95th percentile ms": quantile(milliseconds, 0.95),
            }
        )
    notes = [
        f"One client, one connection kept open; median [quartiles] of {bench.requests} requests "
        f"of each kind in turn, over {len(bench.photographs)} photographs.",
    ]
    if peak is not None:
        notes.append(f"The server's peak of resident memory was {peak / 1e6:.0f} MB.")
    return Table("Milliseconds a request over HTTP", rows, notes)


def _caption_in_turn(
    client: http.client.HTTPConnection, bench: Bench, beam_size: int
) -> Callable[[], float]:
    photographs = cycle(bench.photographs)
    return seconds(lambda: caption(client, next(photographs), f"?beam_size={beam_size}"))


def caption(
    client: http.client.HTTPConnection,
    photograph: bytes,
    query: str = "",
    media_type: str = "image/jpeg",
) -> None:
    """Ask for captions and wait for them.

    Raises:
        RuntimeError: the status is any but 200.
    """
    client.request("POST", f"/caption{query}", photograph, {"Content-Type": media_type})
    response = client.getresponse()
    body = response.read()
    if response.status != 200:
        raise RuntimeError(f"POST /caption{query} gave {response.status}: {body.decode()}")


def get(client: http.client.HTTPConnection, path: str) -> int:
    """Ask for a path and return the status."""
    client.request("GET", path)
    response = client.getresponse()
    response.read()
    return response.status


def _import() -> None:
    subprocess.run(_IMPORT, cwd=ROOT, check=True)


def _port(output: Path) -> int | None:
    found = re.search(rb"http://127\.0\.0\.1:(\d+) ", output.read_bytes())
    return int(found[1]) if found else None


def _wait(poll: Callable[[], int | None], process: subprocess.Popen[bytes], output: Path) -> int:
    """Ask until there is an answer, as long as the server lives."""
    end = time.perf_counter() + _PATIENCE
    while not (answer := poll()):
        if process.poll() is not None or time.perf_counter() > end:
            said = output.read_text(encoding="utf-8", errors="replace")
            raise RuntimeError(f"the server stopped, or was not ready in time:\n{said}")
        time.sleep(_PAUSE)
    return answer
