"""Limits on what a request sends: its headers, and its body's encoding, size and time."""

import asyncio
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import (
    BodyTimeout,
    BodyTooLarge,
    HeadersTooLarge,
    ServiceError,
    TooManyUploads,
    UnsupportedContentType,
)
from app.http.error_handlers import error_response
from app.http.root_path import route_path

__all__ = ["MAX_HEADER_BYTES", "RequestLimits"]

MAX_HEADER_BYTES = 32 * 1024

# For a form's boundaries and part headers, or JSON's braces and the start of a data URI.
_ENVELOPE_BYTES = 64 * 1024

# A body must keep up this rate, or a client could hold its place by a byte now and then.
_MIN_BYTES_PER_SECOND = 20_000


@dataclass
class _Memory:
    """The bytes of all bodies in progress, and how many they may be."""

    limit: int
    used: int = 0

    def check(self, more: int = 0) -> None:
        """Check that there is room for more bytes.

        Raises:
            TooManyUploads: there is not.
        """
        if self.used + more > self.limit:
            raise TooManyUploads(
                "too many large uploads are in progress: try again in a moment", retry_after=2
            )


class RequestLimits:
    """Refuses what is too large, too slow or encoded, before it arrives or while it does.

    Args:
        app: the wrapped application.
        max_upload_bytes: most bytes of a picture; base64 in JSON may have half as many more.
        memory: most bytes of all bodies in progress.
        patience: seconds of silence after which an incomplete body is given up.
    """

    def __init__(
        self, app: ASGIApp, *, max_upload_bytes: int, memory: int, patience: float
    ) -> None:
        self.app = app
        self._max_upload_bytes = max_upload_bytes
        self._memory = _Memory(memory)
        self._patience = patience

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        too_large = (
            f"the body is too large: a picture may have at most {self._max_upload_bytes / 1e6:g} MB"
        )
        body = _Body(receive, self._max_bytes(headers), too_large, self._memory, self._patience)
        try:
            _check_headers(scope, headers)
            body.check_length(int(headers.get("content-length", 0)))
        except ServiceError as error:
            response = error_response(
                route_path(scope), error.status, error.code, error.message, error.headers
            )
            await response(scope, receive, send)
            return
        try:
            await self.app(scope, body.receive, send)
        finally:
            self._memory.used -= body.received

    def _max_bytes(self, headers: Headers) -> int:
        limit = self._max_upload_bytes + _ENVELOPE_BYTES
        if "json" in headers.get("content-type", "").lower():
            limit += self._max_upload_bytes // 2  # base64 with line breaks
        return limit


class _Body:
    """A body that is being received.

    Args:
        receive: returns the next ASGI message.
        limit: most bytes.
        too_large: what to say if there are more.
        memory: where they are counted.
        patience: seconds of silence after which it is given up.
    """

    def __init__(
        self, receive: Receive, limit: int, too_large: str, memory: _Memory, patience: float
    ) -> None:
        self.received = 0
        self._receive = receive
        self._limit = limit
        self._too_large = too_large
        self._memory = memory
        self._patience = patience
        self._complete = False
        self._started = asyncio.get_running_loop().time()

    def check_length(self, length: int) -> None:
        """Check the declared length.

        Raises:
            BodyTooLarge, TooManyUploads: it is too large.
        """
        if length > self._limit:
            raise BodyTooLarge(self._too_large)
        self._memory.check(length)

    async def receive(self) -> Message:
        """Return the next message; after the body, wait for the client to disconnect.

        Raises:
            BodyTimeout, BodyTooLarge, TooManyUploads: the body breaks a limit.
        """
        if self._complete:
            return await self._receive()
        message = await self._receive_in_time()
        size = len(message.get("body", b""))
        self._complete = not message.get("more_body", False)
        self.received += size
        self._memory.used += size
        if self.received > self._limit:
            raise BodyTooLarge(self._too_large)
        self._memory.check()
        return message

    async def _receive_in_time(self) -> Message:
        silence = asyncio.get_running_loop().time() + self._patience
        slow = self._started + self._patience + self.received / _MIN_BYTES_PER_SECOND
        try:
            async with asyncio.timeout_at(min(silence, slow)):
                return await self._receive()
        except TimeoutError as error:
            raise BodyTimeout(
                f"the body did not arrive in time: {self.received:,} bytes came, and then nothing "
                f"for {self._patience:g} seconds or too little"
            ) from error


def _check_headers(scope: Scope, headers: Headers) -> None:
    """Check the headers' size and the body's encoding.

    Raises:
        HeadersTooLarge, UnsupportedContentType: they are not accepted.
    """
    size = len(scope["query_string"]) + sum(len(name) + len(value) for name, value in headers.raw)
    if size > MAX_HEADER_BYTES:
        raise HeadersTooLarge(
            f"the query and the headers are too large: at most {MAX_HEADER_BYTES:,} bytes"
        )
    encoding = headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        raise UnsupportedContentType(
            f"Content-Encoding {encoding[:40]!r} is not supported: send the body as it is"
        )
