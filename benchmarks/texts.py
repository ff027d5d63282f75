"""Characters a second over HTTP, by the clients that ask for a text at once.

Knows `POST /generate-text` and one writer; does not know how texts are written.
"""

import http.client
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial

from benchmarks.bench import Bench
from benchmarks.report import Row, Sample, Table
from benchmarks.server import Server, running
from benchmarks.timing import interleave, quantile

__all__ = ["measure"]

_CLIENTS = (1, 4, 16)
_EACH = 2  # texts that a client asks for in a round, one after the other
_CHARACTERS = 500


def measure(bench: Bench) -> list[Table]:
    """Ask a server for texts by every number of clients; no table where it has no writer."""
    weights = bench.weights.parent
    language_models = sorted(weights.glob("text/*/config.json"))
    if not language_models:
        return []
    chosen = weights / "text" / "shakespeare" / "config.json"
    config = json.loads(
        (chosen if chosen in language_models else language_models[0]).read_text(encoding="utf-8")
    )
    name = config["name"]
    with running(bench, weights) as server:
        calls: dict[str, Callable[[], list[float]]] = {
            str(clients): partial(_ask, server, name, clients) for clients in _CLIENTS
        }
        found = interleave(calls, rounds=bench.slow_rounds, warmups=1)
    rows: list[Row] = []
    for clients in _CLIENTS:
        rounds = found[str(clients)]
        speeds = [clients * _EACH * _CHARACTERS / took for took, *_ in rounds]
        milliseconds = [1000 * latency for _, *latencies in rounds for latency in latencies]
        rows.append(
            {
                "clients": clients,
                "tokens a second": Sample(tuple(speeds)),
                "p50 ms": quantile(milliseconds, 0.5),
                "p95 ms": quantile(milliseconds, 0.95),
            }
        )
    notes = [
        f"Median [quartiles] of {bench.slow_rounds} rounds in turn; in each, every client asks "
        f"`{name}` for {_EACH} texts of {_CHARACTERS} tokens, its next one when it has the last. "
        "Percentiles are of the requests of all rounds. The clients share the cores.",
    ]
    return [Table("Texts over HTTP", rows, notes)]


def _ask(server: Server, model: str, clients: int) -> list[float]:
    """Ask for texts at once; give the seconds of all together, then those of each."""
    with ThreadPoolExecutor(clients) as threads:
        began = time.perf_counter()
        latencies = list(threads.map(partial(_ask_as_one, server.port, model), range(clients)))
        took = time.perf_counter() - began
    return [took, *(latency for each in latencies for latency in each)]


def _ask_as_one(port: int, model: str, number: int) -> list[float]:
    latencies = []
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=120)) as client:
        for i in range(_EACH):
            began = time.perf_counter()
            seed = _EACH * number + i
            asked = {"model": model, "max_tokens": _CHARACTERS, "seed": seed}
            client.request(
                "POST", "/generate-text", json.dumps(asked), {"Content-Type": "application/json"}
            )
            response = client.getresponse()
            body = response.read()
            if response.status != 200:
                raise RuntimeError(f"POST /generate-text gave {response.status}: {body.decode()}")
            latencies.append(time.perf_counter() - began)
    return latencies
