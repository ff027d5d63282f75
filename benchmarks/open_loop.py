"""Requests that arrive on a fixed schedule, whether those before them are answered or not.

One thread, plain sockets, connections that are used again once they are free: as little processor
time as such a client can take. Knows as much of HTTP as an answer with a length needs; does not
judge answers.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.load import Request

__all__ = ["Answer", "offer"]

_HOST = "127.0.0.1"
_LOST = 0

_Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True)
class Answer:
    """What came of a request; status 0: its connection was lost.

    `seconds` are from when it was due; `late` is how much after that it was sent.
    """

    status: int
    seconds: float
    late: float
    retry_after: bool


async def offer(port: int, requests: Sequence[Request], rate: float) -> list[Answer]:
    """Send so many requests a second, and wait for all answers."""
    free: list[_Connection] = []
    began = time.perf_counter()
    tasks: list[asyncio.Task[Answer]] = []
    for number, request in enumerate(requests):
        due = began + number / rate
        # A sleep of nothing lets those that are under way go on.
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tasks.append(asyncio.create_task(_ask(port, request, due, free)))
    answers = await asyncio.gather(*tasks)
    for _, writer in free:
        writer.close()
    return list(answers)


async def _ask(port: int, request: Request, due: float, free: list[_Connection]) -> Answer:
    late = time.perf_counter() - due
    head = (
        f"POST /caption{request.query} HTTP/1.1\r\nHost: {_HOST}\r\n"
        f"Content-Type: {request.media_type}\r\nContent-Length: {len(request.picture)}\r\n\r\n"
    )
    status, headers = _LOST, dict[str, str]()
    try:
        reader, writer = await _connect(port, free)
        writer.write(head.encode() + request.picture)
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        named = (line.partition(":") for line in lines[1:] if line)
        headers = {name.lower(): value.strip() for name, _, value in named}
        await reader.readexactly(int(headers["content-length"]))
        status = int(lines[0].split()[1])
        free.append((reader, writer))
    except (OSError, EOFError):  # EOFError: it ended in the midst of an answer
        pass
    return Answer(status, time.perf_counter() - due, late, "retry-after" in headers)


async def _connect(port: int, free: list[_Connection]) -> _Connection:
    """Take a connection that is free and still open, else make one."""
    while free:
        reader, writer = free.pop()
        if not reader.at_eof():
            return reader, writer
        writer.close()
    return await asyncio.open_connection(_HOST, port)
