"""Answers that are sent in pieces: server-sent events, or lines of JSON."""

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing

from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from app.errors import ServiceError
from app.http.error_shapes import error_content
from app.http.root_path import route_path

__all__ = ["EventStream", "LineStream", "encode_event", "encode_line", "first_of"]


class EventStream(StreamingResponse):
    """A response of server-sent events, whose source is closed when the client disconnects.

    An error that clients are told about is the last event.

    Args:
        first: the first event, so that an error before it can still change the status.
        rest: the events after it.
    """

    media_type = "text/event-stream"
    _path = ""

    def __init__(self, first: bytes, rest: AsyncGenerator[bytes]) -> None:
        self._first, self._rest = first, rest
        # Keep proxies from buffering events.
        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        super().__init__(self._events(), headers=headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events, then close their source."""
        self._path = route_path(scope)
        async with aclosing(self._rest):
            await super().__call__(scope, receive, send)

    async def _events(self) -> AsyncGenerator[bytes]:
        yield self._first
        try:
            async for event in self._rest:
                yield event
        except ServiceError as error:  # too late for a status of its own
            content = error_content(self._path, error.status, error.code, error.message)
            yield self._encode(json.dumps(content))

    @staticmethod
    def _encode(data: str) -> bytes:
        return encode_event(data)


class LineStream(EventStream):
    """The same as lines of JSON."""

    media_type = "application/x-ndjson"

    @staticmethod
    def _encode(data: str) -> bytes:
        return encode_line(data)


def encode_event(data: str) -> bytes:
    """Encode one line of data as a server-sent event."""
    return f"data: {data}\n\n".encode()


def encode_line(data: str) -> bytes:
    """Encode JSON as a line of its own."""
    return f"{data}\n".encode()


async def first_of(events: AsyncGenerator[bytes]) -> bytes:
    """Return the first event: before it, an error can still have a status of its own."""
    return await anext(events)
