"""Lingering close: a refused upload is read on, so that its client gets the answer.

Many clients send the whole body before they read. If the connection were closed in the middle of
it, the operating system would drop the answer on its way, and the client would only see that the
connection was reset.
"""

import asyncio
from contextlib import suppress

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["LingeringClose"]

# As nginx does; the bytes are those of a few uploads of the largest size.
_MAX_SECONDS = 30.0
_MAX_SILENCE = 5.0
_MAX_BYTES = 100_000_000

# What is left of a body up to this size is read without closing the connection.
_SMALL = 64 * 1024


class LingeringClose:
    """Sends an early answer at once, then reads the rest of the body, up to a limit."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "http":
            exchange = _Exchange(Headers(scope=scope), receive, send)
            await self.app(scope, exchange.receive, exchange.send)
            await exchange.finish()
        else:
            await self.app(scope, receive, send)


class _Exchange:
    """A request and its answer."""

    def __init__(self, headers: Headers, receive: Receive, send: Send) -> None:
        length = int(headers.get("content-length", 0))
        self._small = "transfer-encoding" not in headers and length <= _SMALL
        self._complete = self._small and not length  # whether the body has been read to its end
        # Whether the client waits to be asked for the body.
        self._waits = headers.get("expect", "").lower() == "100-continue"
        self._early = False  # whether the whole answer was sent before the end of the body
        self._receive, self._send = receive, send

    async def receive(self) -> Message:
        self._waits = False
        message = await self._receive()
        self._complete = self._complete or not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        if not self._complete and message["type"] == "http.response.start":
            if not self._small:
                MutableHeaders(scope=message)["Connection"] = "close"
        elif not self._complete and not message.get("more_body", False):
            self._early = True
            message["more_body"] = True
        await self._send(message)

    async def finish(self) -> None:
        """Read the rest of the body, then end an early answer."""
        if self._early:
            if not self._waits:
                await _drain(self._receive)
            await self._send({"type": "http.response.body"})


async def _drain(receive: Receive) -> None:
    """Read the rest of a body, until it ends, stops coming or is too much."""
    drained = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(_MAX_SECONDS):
            while drained < _MAX_BYTES:
                message = await asyncio.wait_for(receive(), _MAX_SILENCE)
                drained += len(message.get("body", b""))
                if not message.get("more_body", False):
                    return
