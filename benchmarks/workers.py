"""One process with all cores, or several that share the port and the cores: which serves more."""

import os
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from itertools import cycle, islice

from benchmarks.bench import Bench
from benchmarks.closed_loop import LoadResult, Request, send_closed_loop
from benchmarks.report import Row, Sample, Table
from benchmarks.server import running_server
from benchmarks.timing import interleave, quantile

__all__ = ["measure"]

_CLIENTS = (1, 4, 16)


def measure(bench: Bench) -> list[Table]:
    """Load servers of one process, of two and of one for each core, in turn."""
    cores = len(os.sched_getaffinity(0))
    counts = sorted({1, min(2, cores), cores})
    with ExitStack() as stack:
        calls: dict[str, Callable[[], LoadResult]] = {}
        for workers in counts:
            variables = {"UNROLLED_WORKERS": str(workers)}
            server = stack.enter_context(running_server(bench, variables=variables))
            for clients in _CLIENTS:
                calls[_name(workers, clients)] = partial(_load, server.port, bench, clients)
        loads = interleave(calls, rounds=bench.slow_rounds, warmups=1)
    rows: list[Row] = []
    for clients in _CLIENTS:
        alone = [load.requests_per_second for load in loads[_name(1, clients)]]
        for workers in counts:
            results = loads[_name(workers, clients)]
            speeds = [load.requests_per_second for load in results]
            ratios = [speed / before for speed, before in zip(speeds, alone, strict=True)]
            latencies = [1000 * value for load in results for value in load.latencies]
            rows.append(
                {
                    "processes": workers,
                    "clients": clients,
                    "requests per second": Sample(tuple(speeds)),
                    "times one process": Sample(tuple(ratios)),
                    "p50 ms": quantile(latencies, 0.5),
                    "p95 ms": quantile(latencies, 0.95),
                }
            )
    notes = [
        f"`unrolled serve` with UNROLLED_WORKERS on {cores} cores, which the clients share; "
        f"median [quartiles] of {bench.slow_rounds} rounds in turn, each of "
        f"{bench.requests // 2} requests with the default decoding over persistent connections.",
    ]
    return [Table("One process or several", rows, notes)]


def _name(workers: int, clients: int) -> str:
    return f"{workers} processes, {clients} clients"


def _load(port: int, bench: Bench, clients: int) -> LoadResult:
    requests = cycle([Request(photograph) for photograph in bench.photographs])
    return send_closed_loop(port, islice(requests, bench.requests // 2), clients)
