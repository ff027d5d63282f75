"""Open-loop load: requests sent on a fixed schedule, whether or not earlier ones were answered.

One thread with plain sockets and reused connections, to take as little CPU time as possible from
the server. It reads only responses that have a Content-Length.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.closed_loop import Request

__all__ = ["Response", "send_open_loop"]

_HOST = "127.0.0.1"
_CONNECTION_LOST = 0

_Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True)
class Response:
    """The outcome of a request; status 0 means that its connection was lost.

    `seconds` count from when it was due; `late` is how long after that it was sent.
    """

    status: int
    seconds: float
    late: float
    retry_after: bool


async def send_open_loop(port: int, requests: Sequence[Request], rate: float) -> list[Response]:
    """Send `rate` requests per second and wait for all responses."""
    free: list[_Connection] = []
    started = time.perf_counter()
    tasks: list[asyncio.Task[Response]] = []
    for number, request in enumerate(requests):
        due = started + number / rate
        # Even a sleep of 0 lets the requests in flight proceed.
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tasks.append(asyncio.create_task(_send(port, request, due, free)))
    responses = await asyncio.gather(*tasks)
    for _, writer in free:
        writer.close()
    return list(responses)


async def _send(port: int, request: Request, due: float, free: list[_Connection]) -> Response:
    late = time.perf_counter() - due
    head = (
        f"POST /caption{request.query} HTTP/1.1\r\nHost: {_HOST}\r\n"
        f"Content-Type: {request.media_type}\r\nContent-Length: {len(request.picture)}\r\n\r\n"
    )
    status, headers = _CONNECTION_LOST, dict[str, str]()
    try:
        reader, writer = await _connect(port, free)
        writer.write(head.encode() + request.picture)
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        named = (line.partition(":") for line in lines[1:] if line)
        headers = {name.lower(): value.strip() for name, _, value in named}
        await reader.readexactly(int(headers["content-length"]))
        status = int(lines[0].split()[1])
        if headers.get("connection") == "close":  # as after an upload that was refused early
            writer.close()
        else:
            free.append((reader, writer))
    except (OSError, EOFError):  # EOFError: the connection closed mid-response
        pass
    return Response(status, time.perf_counter() - due, late, "retry-after" in headers)


async def _connect(port: int, free: list[_Connection]) -> _Connection:
    """Return a free connection that is still open, or a new one."""
    while free:
        reader, writer = free.pop()
        if not reader.at_eof():
            return reader, writer
        writer.close()
    return await asyncio.open_connection(_HOST, port)
