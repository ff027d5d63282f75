"""Throughput and latency under a closed loop of several clients.

`unrolled serve` and the server of `benchmarks.baseline_server` get the same bundle, threads and
requests. Both run throughout, and the load alternates between them. For more load than a server can
take, see `benchmarks.overload`.
"""

from collections.abc import Callable
from functools import partial
from itertools import cycle, islice

from benchmarks.bench import SIZE, Bench
from benchmarks.closed_loop import LoadResult, Request, send_closed_loop
from benchmarks.report import Row, Sample, Table
from benchmarks.server import Server, running_baseline_server, running_server
from benchmarks.timing import interleave, quantile

__all__ = ["measure"]

_CLIENTS = (1, 4, 16)
_BEAM_SIZE = 3
_PERCENTILES = (50, 95, 99)
_UNROLLED, _BASELINE = "unrolled serve", "baseline server"


def measure(bench: Bench) -> list[Table]:
    """Load both servers with every number of clients, in turn."""
    with running_server(bench) as unrolled, running_baseline_server(bench) as baseline:
        servers = {_UNROLLED: unrolled, _BASELINE: baseline}
        calls: dict[str, Callable[[], LoadResult]] = {
            _name(server, clients): partial(_load, servers[server], bench, clients)
            for clients in _CLIENTS
            for server in servers
        }
        loads = interleave(calls, rounds=bench.slow_rounds, warmups=1)
    rows: list[Row] = []
    for clients in _CLIENTS:
        baseline_speeds = [load.requests_per_second for load in loads[_name(_BASELINE, clients)]]
        for server in servers:
            results = loads[_name(server, clients)]
            speeds = [load.requests_per_second for load in results]
            milliseconds = [1000 * latency for load in results for latency in load.latencies]
            ratios = [
                speed / baseline_speed
                for speed, baseline_speed in zip(speeds, baseline_speeds, strict=True)
            ]
            row: dict[str, str | float | Sample] = {
                "server": server,
                "clients": clients,
                "requests per second": Sample(tuple(speeds)),
                "times baseline": Sample(tuple(ratios)) if server == _UNROLLED else 1,
            }
            for percentile in _PERCENTILES:
                row[f"p{percentile} ms"] = quantile(milliseconds, percentile / 100)
            rows.append(row)
    counts = ", ".join(f"{_count(bench, clients)} ({clients})" for clients in _CLIENTS)
    notes = [
        f"Median [quartiles] of {bench.slow_rounds} rounds in turn. In each round the clients send "
        f"{counts} requests with beam {_BEAM_SIZE}, {SIZE[0]}x{SIZE[1]} JPEG, over persistent "
        "connections; each sends its next request when it has its response. Percentiles are over "
        "the requests of all rounds.",
        "baseline server: the same bundle in eager PyTorch with a simple beam search, each request "
        "in one of FastAPI's threads (`benchmarks/baseline_server.py`); without limits, "
        "log-probabilities of words, consensus or confidence.",
        f"Each call of either model uses {bench.served_threads} threads; the baseline server may "
        "run several calls at once. The clients share the cores with the servers.",
    ]
    return [Table("Several clients over HTTP", rows, notes)]


def _name(server: str, clients: int) -> str:
    return f"{server}, {clients}"


def _count(bench: Bench, clients: int) -> int:
    """Return the number of requests in a round: enough to keep all clients busy most of it."""
    return max(bench.requests // 2, 2 * clients)


def _load(server: Server, bench: Bench, clients: int) -> LoadResult:
    requests = (Request(photograph, f"?beam_size={_BEAM_SIZE}") for photograph in bench.photographs)
    return send_closed_loop(server.port, islice(cycle(requests), _count(bench, clients)), clients)
