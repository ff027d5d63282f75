"""Several clients at once, each of which sends its next request when it has its answer.

Threads with a connection each, kept open: they cost little processor time, which servers on the
same machine need. Knows `POST /caption` and the clock; does not know which server it asks, nor
clients that do not wait for each other (`benchmarks.overload` has those).
"""

import http.client
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from benchmarks.server import caption

__all__ = ["Load", "Request", "send"]

_PATIENCE = 120.0


@dataclass(frozen=True)
class Request:
    """A picture, and how it is to be captioned."""

    picture: bytes
    query: str = ""
    media_type: str = "image/jpeg"


@dataclass(frozen=True)
class Load:
    """What came of the requests: each one's seconds, and those of all together."""

    latencies: tuple[float, ...]
    seconds: float

    @property
    def requests_a_second(self) -> float:
        """How many were answered a second."""
        return len(self.latencies) / self.seconds


def send(port: int, requests: Iterable[Request], clients: int) -> Load:
    """Send requests in their order by so many clients, to this machine.

    Raises:
        RuntimeError: a status is any but 200.
    """
    waiting: SimpleQueue[Request] = SimpleQueue()
    for request in requests:
        waiting.put(request)
    with ExitStack() as stack:
        connections = [
            stack.enter_context(
                closing(http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE))
            )
            for _ in range(clients)
        ]
        for connection in connections:
            connection.connect()
        threads = stack.enter_context(ThreadPoolExecutor(clients))
        began = time.perf_counter()
        found = [threads.submit(_send, connection, waiting) for connection in connections]
        latencies = tuple(latency for future in found for latency in future.result())
        return Load(latencies, time.perf_counter() - began)


def _send(client: http.client.HTTPConnection, waiting: SimpleQueue[Request]) -> list[float]:
    latencies: list[float] = []
    for request in _each(waiting):
        began = time.perf_counter()
        caption(client, request.picture, request.query, request.media_type)
        latencies.append(time.perf_counter() - began)
    return latencies


def _each(waiting: SimpleQueue[Request]) -> Iterator[Request]:
    while True:
        try:
            yield waiting.get_nowait()
        except Empty:
            return
