"""How soon `unrolled serve` answers after its start, and the latency of one client.

A real server process, reached over HTTP on this machine with `http.client`. What a network or TLS
would add is not measured; for several clients see `benchmarks.clients`.
"""

import http.client
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from pathlib import Path

from benchmarks.bench import BEAM_SIZES, ROOT, Bench
from benchmarks.peak import peak_bytes
from benchmarks.report import Row, Sample, Table
from benchmarks.timing import interleave, quantile, seconds
from model.runtime.options import Precision

__all__ = [
    "UNROLLED",
    "Server",
    "caption",
    "get",
    "measure",
    "measure_latency",
    "measure_startup",
    "running_baseline_server",
    "running_server",
]

_POLL_INTERVAL = 0.01
_INHERITED = {"UNROLLED_CACHE"}
_TIMEOUT = 120.0

# The command `unrolled`, wherever it is installed.
UNROLLED = [sys.executable, "-c", "from app.cli.main import app; app()"]
# Exits at once: a server that starts does not wait for an interpreter to shut down.
_PACKAGES = "import os, fastapi, timm, torch, torchvision, uvicorn; os._exit(0)"
_IMPORT = [sys.executable, "-c", _PACKAGES]


@dataclass(frozen=True)
class Server:
    """A server that is ready; `listening` and `ready` are seconds since its process started."""

    pid: int
    port: int
    client: http.client.HTTPConnection
    listening: float
    ready: float


def measure(bench: Bench) -> list[Table]:
    """Measure start-up and latency."""
    return [measure_startup(bench), measure_latency(bench)]


@contextmanager
def running_server(
    bench: Bench,
    weights: Path | None = None,
    precision: Precision = "float32",
    variables: Mapping[str, str] | None = None,
    device: str = "cpu",
) -> Iterator[Server]:
    """Start `unrolled serve` on a free port, wait until it is ready, and stop it on leaving.

    Args:
        bench: the bundle, runtime and threads.
        weights: what it serves; by default the captioner alone.
        precision: precision of the captioner.
        variables: more settings, by environment variable.
        device: where the captioner runs.

    Raises:
        RuntimeError: it stopped or was not ready in time; the message holds its output.
    """
    command = [*UNROLLED, "serve", "--port", "0", "--device", device]
    command += ["--runtime", bench.runtime if device == "cpu" else "auto"]
    command += ["--weights", str((weights or bench.weights).resolve())]
    settings: dict[str, str] = {"UNROLLED_PRECISION": precision, **(variables or {})}
    if bench.threads:
        settings["UNROLLED_THREADS"] = str(bench.threads)
    with _start(command, settings, "/health/ready") as server:
        yield server


@contextmanager
def running_baseline_server(bench: Bench) -> Iterator[Server]:
    """Start the baseline server with the same bundle and threads as `running_server`.

    Raises:
        RuntimeError: it stopped or was not ready in time; the message holds its output.
    """
    weights, threads = str(bench.weights.resolve()), str(bench.served_threads)
    command = [sys.executable, "-m", "benchmarks.baseline_server", weights, "0", threads]
    # It listens once its model is loaded, and has no health route.
    with _start(command, {}, "/openapi.json") as server:
        yield server


@contextmanager
def _start(command: Sequence[str], settings: dict[str, str], ready: str) -> Iterator[Server]:
    """Start a server that prints its address, and wait until the path `ready` returns 200."""
    environment = {
        k: v for k, v in os.environ.items() if not k.startswith("UNROLLED_") or k in _INHERITED
    }
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "output"
        with output.open("wb") as file:
            started = time.perf_counter()
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment | settings,
                stdout=file,
                stderr=subprocess.STDOUT,
            )
        try:
            port = _wait(partial(_port, output), process, output)
            listening = time.perf_counter() - started
            with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT)) as client:
                _wait(lambda: get(client, ready) == 200, process, output)
                yield Server(process.pid, port, client, listening, time.perf_counter() - started)
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def measure_startup(bench: Bench) -> Table:
    """Time how long a new server takes to listen, to be ready and to caption."""
    listening: list[float] = []
    ready: list[float] = []

    def start() -> float:
        started = time.perf_counter()
        with running_server(bench) as server:
            caption(server.client, bench.photographs[0])
            answered = time.perf_counter() - started
        listening.append(server.listening)
        ready.append(server.ready)
        return answered

    calls = {"packages": seconds(_import), "answered": start}
    timed = interleave(calls, rounds=bench.launches, warmups=1)
    moments = {
        "listening (/health/live is 200)": listening[1:],  # the first start is the warm-up
        "/health/ready is 200": ready[1:],
        "first caption answered": timed["answered"],
        "for comparison: Python imports the packages": timed["packages"],
    }
    rows: list[Row] = [
        {"moment": name, "seconds": Sample(tuple(values))} for name, values in moments.items()
    ]
    notes = [
        f"Seconds since `unrolled serve` was started, median [quartiles] of {bench.launches} "
        "starts, after a first one that does not count but leaves most files in the page cache.",
        "The packages are FastAPI, timm, torch, torchvision and uvicorn; with OpenVINO the server "
        "needs only the first and the last.",
        f"Polled every {1000 * _POLL_INTERVAL:.0f} ms, which limits the precision.",
    ]
    return Table("From start to first response", rows, notes)


def measure_latency(bench: Bench) -> Table:
    """Time the requests of one client, the beam sizes in turn."""
    with running_server(bench) as server:
        calls: dict[str, Callable[[], float]] = {
            f"POST /caption, beam {beam_size}": _caption_in_turn(server.client, bench, beam_size)
            for beam_size in BEAM_SIZES
        }
        calls["for comparison: GET /health/live"] = seconds(
            partial(get, server.client, "/health/live")
        )
        timed = interleave(calls, rounds=bench.requests, warmups=2 * bench.warmups)
        peak = peak_bytes(server.pid)
    rows: list[Row] = []
    for name, values in timed.items():
        milliseconds = [1000 * value for value in values]
        rows.append(
            {
                "request": name,
                "ms": Sample(tuple(milliseconds)),
                "95th percentile ms": quantile(milliseconds, 0.95),
            }
        )
    notes = [
        f"One client, one persistent connection; median [quartiles] of {bench.requests} requests "
        f"of each kind in turn, over {len(bench.photographs)} photographs.",
    ]
    if peak is not None:
        notes.append(f"The server's peak of resident memory was {peak / 1e6:.0f} MB.")
    return Table("Milliseconds per request over HTTP", rows, notes)


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
    """Send a picture to `POST /caption` and wait for the response.

    Raises:
        RuntimeError: the status is not 200.
    """
    client.request("POST", f"/caption{query}", photograph, {"Content-Type": media_type})
    response = client.getresponse()
    body = response.read()
    if response.status != 200:
        raise RuntimeError(f"POST /caption{query} returned {response.status}: {body.decode()}")


def get(client: http.client.HTTPConnection, path: str) -> int:
    """Send `GET` for a path and return the status."""
    client.request("GET", path)
    response = client.getresponse()
    response.read()
    return response.status


def _import() -> None:
    subprocess.run(_IMPORT, cwd=ROOT, check=True)


def _port(output: Path) -> int | None:
    match = re.search(rb"http://127\.0\.0\.1:(\d+) ", output.read_bytes())
    return int(match[1]) if match else None


def _wait(poll: Callable[[], int | None], process: subprocess.Popen[bytes], output: Path) -> int:
    """Poll until there is a result; raise if the server stops or the time is up."""
    end = time.perf_counter() + _TIMEOUT
    while not (answer := poll()):
        if process.poll() is not None or time.perf_counter() > end:
            printed = output.read_text(encoding="utf-8", errors="replace")
            raise RuntimeError(f"the server stopped, or was not ready in time:\n{printed}")
        time.sleep(_POLL_INTERVAL)
    return answer
