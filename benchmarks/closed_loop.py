"""Closed-loop load: several clients, each sending its next request when it has its response.

Each client is a thread with a persistent connection, which costs little CPU time; the server on
the same machine needs it. `benchmarks.open_loop` has the clients that do not wait.
"""

import http.client
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from benchmarks.server import caption

__all__ = ["LoadResult", "Request", "send_closed_loop"]

_TIMEOUT = 120.0


@dataclass(frozen=True)
class Request:
    """A picture and the options of its `POST /caption`."""

    picture: bytes
    query: str = ""
    media_type: str = "image/jpeg"


@dataclass(frozen=True)
class LoadResult:
    """The seconds that each request took, and all of them together."""

    latencies: tuple[float, ...]
    seconds: float

    @property
    def requests_per_second(self) -> float:
        """Responses per second."""
        return len(self.latencies) / self.seconds


def send_closed_loop(port: int, requests: Iterable[Request], clients: int) -> LoadResult:
    """Send requests in order, from so many clients, to a server on this machine.

    Raises:
        RuntimeError: a status is not 200.
    """
    queue: SimpleQueue[Request] = SimpleQueue()
    for request in requests:
        queue.put(request)
    with ExitStack() as stack:
        connections = [
            stack.enter_context(
                closing(http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT))
            )
            for _ in range(clients)
        ]
        for connection in connections:
            connection.connect()
        threads = stack.enter_context(ThreadPoolExecutor(clients))
        started = time.perf_counter()
        futures = [threads.submit(_send, connection, queue) for connection in connections]
        latencies = tuple(latency for future in futures for latency in future.result())
        return LoadResult(latencies, time.perf_counter() - started)


def _send(client: http.client.HTTPConnection, queue: SimpleQueue[Request]) -> list[float]:
    latencies: list[float] = []
    for request in _drain(queue):
        started = time.perf_counter()
        caption(client, request.picture, request.query, request.media_type)
        latencies.append(time.perf_counter() - started)
    return latencies


def _drain(queue: SimpleQueue[Request]) -> Iterator[Request]:
    while True:
        try:
            yield queue.get_nowait()
        except Empty:
            return
