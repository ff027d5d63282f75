"""What a server does when four times as much is asked of it as it can do.

First what it can do, by clients that wait for their answers; then requests on a fixed schedule,
whether those before them are answered or not, while its health is asked for on a connection of its
own. Knows the schedule and counts answers; does not know why a request was refused.
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
from benchmarks.load import Load, Request, send
from benchmarks.open_loop import Answer, offer
from benchmarks.report import Row, Table
from benchmarks.server import get, running
from benchmarks.timing import quantile

__all__ = ["measure", "summarise"]

_CLIENTS = int(Settings.model_fields["batch_size"].default)  # a full batch
_BEAM = 3
_TIMES = 4
_HEALTH_EVERY = 0.05
_REFUSED = (429, 503)
_PATIENCE = 120.0


@dataclass(frozen=True)
class Health:
    """How long each answer of `/health/live` took, and how many were not 200."""

    latencies: list[float]
    failures: int


def measure(bench: Bench) -> list[Table]:
    """Find the capacity, offer `_TIMES` as much, and see."""
    requests = [Request(photograph, f"?beam_size={_BEAM}") for photograph in bench.photographs]
    with running(bench) as server, ThreadPoolExecutor(1) as beside:
        send(server.port, islice(cycle(requests), 2 * _CLIENTS), _CLIENTS)  # the warm-up
        usual = send(server.port, islice(cycle(requests), max(bench.requests, 10)), _CLIENTS)
        rate = _TIMES * usual.requests_a_second
        count = max(1, round(rate * bench.overload_seconds))
        health = beside.submit(_watch, server.port, bench.overload_seconds)
        offered = offer(server.port, list(islice(cycle(requests), count)), rate)
        answers = asyncio.run(offered)
        rows = summarise(usual, rate, answers, health.result())
    notes = [
        f"Capacity is what {_CLIENTS} clients reach that wait for their answers, with "
        f"{SIZE[0]}x{SIZE[1]} JPEG and beam {_BEAM}. Then requests came for "
        f"{bench.overload_seconds:g} s on a fixed schedule, {_TIMES} times as many a second; a "
        "request's time counts from when it was due.",
        f"`/health/live` was asked every {1000 * _HEALTH_EVERY:.0f} ms on a connection of its own "
        "meanwhile. What asks runs on the same cores.",
    ]
    return [Table("A server that is asked too much", rows, notes)]


def summarise(usual: Load, rate: float, answers: Sequence[Answer], health: Health) -> list[Row]:
    """Put into rows what came of it."""
    admit = [1000 * answer.seconds for answer in answers if answer.status == 200]
    refused = [answer for answer in answers if answer.status in _REFUSED]
    waits = [1000 * seconds for seconds in usual.latencies]
    beats = [1000 * seconds for seconds in health.latencies]
    found: dict[str, str | float] = {
        f"capacity: requests a second, {_CLIENTS} clients": usual.requests_a_second,
        f"p50 of these, ms: {_CLIENTS} at once": quantile(waits, 0.5),
        f"p99 of these, ms: {_CLIENTS} at once": quantile(waits, 0.99),
        "offered: requests a second": rate,
        "offered: requests": len(answers),
        "sent late, p99 ms": quantile([1000 * answer.late for answer in answers], 0.99),
    }
    for status, times in sorted(Counter(answer.status for answer in answers).items()):
        found[f"answered {status}" if status else "connection lost"] = times
    if admit:
        found["answered 200, p50 ms"] = quantile(admit, 0.5)
        found["answered 200, p99 ms"] = quantile(admit, 0.99)
    if refused:
        told = sum(answer.retry_after for answer in refused)
        found["refused with Retry-After"] = f"{told:,} of {len(refused):,}"
        found["refused, p99 ms"] = quantile([1000 * one.seconds for one in refused], 0.99)
    found["/health/live: asked"] = len(beats)
    found["/health/live: other than 200"] = health.failures
    found["/health/live: p99 ms"] = quantile(beats, 0.99)
    found["/health/live: slowest ms"] = max(beats)
    return [{"what": name, "value": value} for name, value in found.items()]


def _watch(port: int, seconds: float) -> Health:
    """Ask for `/health/live` again and again."""
    latencies: list[float] = []
    failures = 0
    end = time.perf_counter() + seconds
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE)) as client:
        while not latencies or time.perf_counter() < end:
            began = time.perf_counter()
            failures += get(client, "/health/live") != 200
            latencies.append(time.perf_counter() - began)
            time.sleep(max(0.0, began + _HEALTH_EVERY - time.perf_counter()))
    return Health(latencies, failures)
