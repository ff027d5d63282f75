"""Requests a second and how long each takes, by the clients that ask at once.

`unrolled serve` beside the plain server of `benchmarks.baseline_server`: same bundle, same threads,
same requests, both up all the time and loaded in turn. Knows clients that wait for their answers;
does not know what happens when more is asked than can be done.
"""

from collections.abc import Callable
from functools import partial
from itertools import cycle, islice

from benchmarks.bench import SIZE, Bench
from benchmarks.load import Load, Request, send
from benchmarks.report import Row, Sample, Table
from benchmarks.server import Server, running, running_baseline
from benchmarks.timing import interleave, quantile

__all__ = ["measure"]

_CLIENTS = (1, 4, 16)
_BEAM = 3
_PERCENTILES = (50, 95, 99)
_OURS, _PLAIN = "unrolled serve", "plain FastAPI"


def measure(bench: Bench) -> list[Table]:
    """Load both servers by every number of clients, in turn."""
    with running(bench) as ours, running_baseline(bench) as plain:
        servers = {_OURS: ours, _PLAIN: plain}
        calls: dict[str, Callable[[], Load]] = {
            _name(server, clients): partial(_load, servers[server], bench, clients)
            for clients in _CLIENTS
            for server in servers
        }
        loads = interleave(calls, rounds=bench.slow_rounds, warmups=1)
    rows: list[Row] = []
    for clients in _CLIENTS:
        beside = [load.requests_a_second for load in loads[_name(_PLAIN, clients)]]
        for server in servers:
            found = loads[_name(server, clients)]
            speeds = [load.requests_a_second for load in found]
            milliseconds = [1000 * latency for load in found for latency in load.latencies]
            ratios = [speed / other for speed, other in zip(speeds, beside, strict=True)]
            row: dict[str, str | float | Sample] = {
                "server": server,
                "clients": clients,
                "requests a second": Sample(tuple(speeds)),
                "times plain": Sample(tuple(ratios)) if server == _OURS else 1,
            }
            for percentile in _PERCENTILES:
                row[f"p{percentile} ms"] = quantile(milliseconds, percentile / 100)
            rows.append(row)
    notes = [
        f"Median [quartiles] of {bench.slow_rounds} rounds in turn; in each, the clients send "
        f"{', '.join(f'{_count(bench, clients)} ({clients})' for clients in _CLIENTS)} requests "
        f"of beam {_BEAM}, {SIZE[0]}x{SIZE[1]} JPEG, over connections kept open, each its next "
        "one when it has its answer. Percentiles are of the requests of all rounds.",
        "plain FastAPI: the same bundle in PyTorch's eager modules with a simple beam search, a "
        "request in each of FastAPI's threads (`benchmarks/baseline_server.py`); it has neither "
        "limits nor log-probabilities by word, consensus or confidence.",
        f"Both models have {bench.served_threads} threads for a call; the plain server may have "
        "several calls at once. The clients share the cores with them.",
    ]
    return [Table("Several clients over HTTP", rows, notes)]


def _name(server: str, clients: int) -> str:
    return f"{server}, {clients}"


def _count(bench: Bench, clients: int) -> int:
    """Choose how many requests a round sends: at its edges not all clients are busy."""
    return max(bench.requests // 2, 2 * clients)


def _load(server: Server, bench: Bench, clients: int) -> Load:
    requests = (Request(photograph, f"?beam_size={_BEAM}") for photograph in bench.photographs)
    return send(server.port, islice(cycle(requests), _count(bench, clients)), clients)
