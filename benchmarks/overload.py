"""What a server does when it is offered four times the requests that it can answer.

A closed loop finds the capacity; then an open loop sends requests on a fixed schedule, while
another connection polls `/health/live`.
"""

import asyncio
import http.client
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import cycle, islice

from app.settings import Settings
from benchmarks.bench import SIZE, Bench
from benchmarks.closed_loop import LoadResult, Request, send_closed_loop
from benchmarks.open_loop import Response, send_open_loop
from benchmarks.report import Row, Table
from benchmarks.server import get, running_server
from benchmarks.timing import quantile

__all__ = ["measure", "summarise"]

_CLIENTS = int(Settings.model_fields["batch_size"].default)  # a full batch
_BEAM_SIZE = 3
_OVERLOAD_FACTOR = 4
_HEALTH_INTERVAL = 0.05
_REFUSED = (429, 503)
_TIMEOUT = 120.0


@dataclass(frozen=True)
class Health:
    """The latencies of `/health/live`, and how many responses were not 200."""

    latencies: list[float]
    failures: int


def measure(bench: Bench) -> list[Table]:
    """Find the capacity, then offer `_OVERLOAD_FACTOR` times as much."""
    requests = [Request(photograph, f"?beam_size={_BEAM_SIZE}") for photograph in bench.photographs]
    with running_server(bench) as server, ThreadPoolExecutor(1) as pool:
        send_closed_loop(server.port, islice(cycle(requests), 2 * _CLIENTS), _CLIENTS)  # warm up
        capacity = send_closed_loop(
            server.port, islice(cycle(requests), max(bench.requests, 10)), _CLIENTS
        )
        rate = _OVERLOAD_FACTOR * capacity.requests_per_second
        count = max(1, round(rate * bench.overload_seconds))
        health = pool.submit(_poll_health, server.port, bench.overload_seconds)
        offered = send_open_loop(server.port, list(islice(cycle(requests), count)), rate)
        responses = asyncio.run(offered)
        rows = summarise(capacity, rate, responses, health.result())
    notes = [
        f"Capacity is the throughput of {_CLIENTS} clients that wait for their responses, with "
        f"{SIZE[0]}x{SIZE[1]} JPEG and beam {_BEAM_SIZE}. Then {_OVERLOAD_FACTOR} times as many "
        f"requests per second were sent on a fixed schedule for {bench.overload_seconds:g} s; "
        "latencies count from when a request was due.",
        f"Meanwhile `/health/live` was polled every {1000 * _HEALTH_INTERVAL:.0f} ms on a separate "
        "connection. The clients share the cores with the server.",
    ]
    return [Table("A server under overload", rows, notes)]


def summarise(
    capacity: LoadResult, rate: float, responses: Sequence[Response], health: Health
) -> list[Row]:
    """Return the rows of the table."""
    accepted = [1000 * response.seconds for response in responses if response.status == 200]
    refused = [response for response in responses if response.status in _REFUSED]
    latencies = [1000 * seconds for seconds in capacity.latencies]
    health_latencies = [1000 * seconds for seconds in health.latencies]
    values: dict[str, str | float] = {
        f"capacity: requests per second, {_CLIENTS} clients": capacity.requests_per_second,
        f"p50 of these, ms: {_CLIENTS} at once": quantile(latencies, 0.5),
        f"p99 of these, ms: {_CLIENTS} at once": quantile(latencies, 0.99),
        "offered: requests per second": rate,
        "offered: requests": len(responses),
        "sent late, p99 ms": quantile([1000 * response.late for response in responses], 0.99),
    }
    for status, times in sorted(Counter(response.status for response in responses).items()):
        values[f"answered {status}" if status else "connection lost"] = times
    if accepted:
        values["answered 200, p50 ms"] = quantile(accepted, 0.5)
        values["answered 200, p99 ms"] = quantile(accepted, 0.99)
    if refused:
        with_retry_after = sum(response.retry_after for response in refused)
        values["refused with Retry-After"] = f"{with_retry_after:,} of {len(refused):,}"
        values["refused, p99 ms"] = quantile(
            [1000 * response.seconds for response in refused], 0.99
        )
    values["/health/live: asked"] = len(health_latencies)
    values["/health/live: other than 200"] = health.failures
    values["/health/live: p99 ms"] = quantile(health_latencies, 0.99)
    values["/health/live: slowest ms"] = max(health_latencies)
    return [{"measure": name, "value": value} for name, value in values.items()]


def _poll_health(port: int, seconds: float) -> Health:
    """Poll `/health/live` for so many seconds."""
    latencies: list[float] = []
    failures = 0
    end = time.perf_counter() + seconds
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT)) as client:
        while not latencies or time.perf_counter() < end:
            started = time.perf_counter()
            failures += get(client, "/health/live") != 200
            latencies.append(time.perf_counter() - started)
            time.sleep(max(0.0, started + _HEALTH_INTERVAL - time.perf_counter()))
    return Health(latencies, failures)
