import asyncio
import json
from collections.abc import AsyncGenerator

import pytest
from starlette.types import Message

from app.errors import DeadlineExceeded
from app.http.streaming import EventStream, LineStream, encode_event


async def sent(
    rest: AsyncGenerator[bytes], kind: type[EventStream] = EventStream, path: str = "/generate-text"
) -> list[bytes]:
    """Return the body of a stream, in the pieces in which it is sent."""
    bodies: list[bytes] = []

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            bodies.append(message["body"])

    scope = {"type": "http", "path": path, "asgi": {"spec_version": "2.3"}}
    await kind(encode_event("first"), rest)(scope, receive, send)
    return bodies


async def events(error: Exception | None = None) -> AsyncGenerator[bytes]:
    yield encode_event("second")
    if error is not None:
        raise error


def test_events_are_sent_one_by_one() -> None:
    assert asyncio.run(sent(events()))[:2] == [b"data: first\n\n", b"data: second\n\n"]


def test_a_known_error_is_the_last_event() -> None:
    *_, last, end = asyncio.run(sent(events(DeadlineExceeded("too late"))))
    error = json.loads(last.removeprefix(b"data: "))["error"]
    assert (error["code"], error["message"]) == ("deadline_exceeded", "too late")
    assert end == b""


def test_an_error_has_the_shape_of_its_api() -> None:
    broken = events(DeadlineExceeded("too late"))
    *_, last, _ = asyncio.run(sent(broken, LineStream, "/api/generate"))
    assert last == b'{"error": "too late"}\n'


def test_an_unexpected_error_breaks_the_stream() -> None:
    with pytest.raises(RuntimeError, match="a secret"):
        asyncio.run(sent(events(RuntimeError("a secret"))))
