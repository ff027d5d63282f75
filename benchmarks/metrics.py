"""What the metrics for Prometheus cost a request: two servers, with and without them, in turn."""

import http.client
from collections.abc import Callable
from functools import partial
from itertools import cycle

from benchmarks.bench import Bench
from benchmarks.report import Row, Sample, Table
from benchmarks.server import caption, get, running_server
from benchmarks.timing import interleave, seconds

__all__ = ["measure"]


def measure(bench: Bench) -> list[Table]:
    """Time requests to a server with metrics and to one without."""
    off = {"UNROLLED_METRICS": "false"}
    with running_server(bench) as counting, running_server(bench, variables=off) as plain:
        calls: dict[str, Callable[[], float]] = {}
        for name, server in (("with metrics", counting), ("without", plain)):
            calls[f"POST /caption, {name}"] = _captions(server.client, bench)
            calls[f"GET /health/live, {name}"] = seconds(
                partial(get, server.client, "/health/live")
            )
        timed = interleave(calls, rounds=bench.requests, warmups=2 * bench.warmups)
        shown = seconds(partial(get, counting.client, "/metrics"))
        timed["for comparison: GET /metrics"] = [shown() for _ in range(bench.rounds)]
    rows: list[Row] = [
        {"request": name, "ms": Sample(tuple(1000 * value for value in values))}
        for name, values in timed.items()
    ]
    notes = [
        f"One client with a persistent connection to each server; median [quartiles] of "
        f"{bench.requests} requests of each kind in turn.",
    ]
    return [Table("Milliseconds per request with metrics and without", rows, notes)]


def _captions(client: http.client.HTTPConnection, bench: Bench) -> Callable[[], float]:
    photographs = cycle(bench.photographs)
    return seconds(lambda: caption(client, next(photographs)))
