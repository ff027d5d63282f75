"""Tokens per second and latency of `POST /generate-text`, by the number of clients.

`benchmarks.language_models` measures generation without HTTP.
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
from benchmarks.server import Server, running_server
from benchmarks.timing import interleave, quantile

__all__ = ["measure"]

_CLIENTS = (1, 4, 16)
_TEXTS_PER_CLIENT = 2  # requests in a round, one after another
_TOKENS = 500


def measure(bench: Bench) -> list[Table]:
    """Load a server with every number of clients; return no table without a language model."""
    weights = bench.weights.parent
    language_models = sorted(weights.glob("text/*/config.json"))
    if not language_models:
        return []
    chosen = weights / "text" / "shakespeare" / "config.json"
    config = json.loads(
        (chosen if chosen in language_models else language_models[0]).read_text(encoding="utf-8")
    )
    name = config["name"]
    with running_server(bench, weights) as server:
        calls: dict[str, Callable[[], list[float]]] = {
            str(clients): partial(_run_clients, server, name, clients) for clients in _CLIENTS
        }
        results = interleave(calls, rounds=bench.slow_rounds, warmups=1)
    rows: list[Row] = []
    for clients in _CLIENTS:
        rounds = results[str(clients)]
        speeds = [clients * _TEXTS_PER_CLIENT * _TOKENS / took for took, *_ in rounds]
        milliseconds = [1000 * latency for _, *latencies in rounds for latency in latencies]
        rows.append(
            {
                "clients": clients,
                "tokens per second": Sample(tuple(speeds)),
                "p50 ms": quantile(milliseconds, 0.5),
                "p95 ms": quantile(milliseconds, 0.95),
            }
        )
    notes = [
        f"Median [quartiles] of {bench.slow_rounds} rounds in turn. In each round every client "
        f"asks `{name}` for {_TEXTS_PER_CLIENT} texts of {_TOKENS} tokens, one after another. "
        "Percentiles are over the requests of all rounds. The clients share the cores with the "
        "server.",
    ]
    return [Table("Texts over HTTP", rows, notes)]


def _run_clients(server: Server, model: str, clients: int) -> list[float]:
    """Run the clients at once; return the seconds of all together, then of each request."""
    with ThreadPoolExecutor(clients) as threads:
        started = time.perf_counter()
        latencies = list(threads.map(partial(_run_client, server.port, model), range(clients)))
        took = time.perf_counter() - started
    return [took, *(latency for client in latencies for latency in client)]


def _run_client(port: int, model: str, number: int) -> list[float]:
    latencies = []
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=120)) as client:
        for i in range(_TEXTS_PER_CLIENT):
            started = time.perf_counter()
            seed = _TEXTS_PER_CLIENT * number + i
            body = {"model": model, "max_tokens": _TOKENS, "seed": seed}
            client.request(
                "POST", "/generate-text", json.dumps(body), {"Content-Type": "application/json"}
            )
            response = client.getresponse()
            answer = response.read()
            if response.status != 200:
                raise RuntimeError(
                    f"POST /generate-text returned {response.status}: {answer.decode()}"
                )
            latencies.append(time.perf_counter() - started)
    return latencies
