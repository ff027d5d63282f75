"""Connections that nobody can hold without using them.

uvicorn's protocol, with limits on the size and time of a request's headers, on the time for which a
client may leave its answer unread, and on the number of connections. Bodies are bounded by
`app.http.limits`, which needs no protocol of its own.
"""

import asyncio
import json
import logging
import math
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from typing import Any, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.http.error_shapes import error_content
from app.http.limits import MAX_HEADER_BYTES
from app.settings import Settings

__all__ = ["BoundedProtocol", "server_config"]

_log = logging.getLogger("app")

_MAX_CONNECTIONS = 1000

# Seconds for which a client that is still sending may read why it was refused.
_LINGER = 5.0


def server_config(app: Any, settings: Settings, **options: Any) -> uvicorn.Config:
    """Return uvicorn's configuration for the service; `options` go to it as they are."""
    protocol = partial(
        BoundedProtocol, patience=settings.client_timeout, max_connections=_max_connections()
    )
    return uvicorn.Config(
        app,
        http=cast("type[asyncio.Protocol]", protocol),
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="on",
        forwarded_allow_ips=_trusted(settings.trusted_proxies),
        # uvicorn declares whole seconds, and takes others.
        timeout_keep_alive=cast("int", settings.keep_alive),
        timeout_graceful_shutdown=cast("int", settings.shutdown_timeout),
        **options,
    )


def _trusted(proxies: Sequence[str]) -> list[str] | str:
    return "*" if "*" in proxies else list(proxies)


class BoundedProtocol(HttpToolsProtocol):
    """One connection.

    Args:
        *arguments, **options: as in uvicorn's.
        patience: seconds for a request's headers, and for which an answer may stay unread.
        max_connections: most connections of the service. For another one, the connection that has
            waited longest for a request is closed; if none waits, the new one is refused.
    """

    def __init__(
        self, *arguments: Any, patience: float, max_connections: int, **options: Any
    ) -> None:
        super().__init__(*arguments, **options)
        self._patience = patience
        self._max_connections = max_connections
        self._head_bytes: float = 0  # of the headers that are being read; -inf in a body
        self._waiting_since = 0.0
        self._head_timer: asyncio.TimerHandle | None = None
        self._reader_timer: asyncio.TimerHandle | None = None
        self._refused = False

    @property
    def waiting(self) -> bool:
        """Whether it waits for a request, or for the rest of its headers."""
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start to wait for a request, if there is room."""
        super().connection_made(transport)
        self._wait_for_request()
        self._start_head_timer()
        if len(self.connections) > self._max_connections:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        for timer in (self._head_timer, self._reader_timer):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what has arrived."""
        if self._refused:
            return
        if self._head_bytes == 0 and self.waiting:  # idle until now, by uvicorn's own timer
            self._start_head_timer()
        self._head_bytes += len(data)
        super().data_received(data)
        if self._head_bytes > MAX_HEADER_BYTES:
            self._refuse(
                431,
                "headers_too_large",
                f"the address and the headers are too large: at most {MAX_HEADER_BYTES:,} bytes",
            )

    def on_headers_complete(self) -> None:
        """Start the request."""
        self._head_bytes = -math.inf
        if self._head_timer is not None:
            self._head_timer.cancel()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Count the bytes of the next request's headers."""
        self._head_bytes = 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Wait for the next request, unless it is there already."""
        super().on_response_complete()
        if self.waiting and not self.transport.is_closing():
            self._wait_for_request()
            if self._head_bytes != 0:  # not idle: it has more to send
                self._start_head_timer()

    def pause_writing(self) -> None:
        """Watch whether the client reads."""
        super().pause_writing()
        self._watch_reader(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """Stop watching: it reads."""
        if self._reader_timer is not None:
            self._reader_timer.cancel()
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP."""
        self._refuse(400, "malformed_request", "this is not a valid HTTP/1.1 request")

    def _wait_for_request(self) -> None:
        self._waiting_since = self.loop.time()

    def _start_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
        self._head_timer = self.loop.call_later(self._patience, self._give_up_request)

    def _give_up_request(self) -> None:
        if self._head_bytes > 0:
            self._refuse(
                408,
                "request_timeout",
                f"the headers did not arrive within {self._patience:g} seconds",
            )
        else:
            self.transport.close()

    def _watch_reader(self, unsent: int) -> None:
        self._reader_timer = self.loop.call_later(self._patience, self._check_reader, unsent)

    def _check_reader(self, unsent_before: int) -> None:
        unsent = self.transport.get_write_buffer_size()
        if unsent < unsent_before:
            self._watch_reader(unsent)
        else:
            _log.info("the client does not read its answer: the connection is closed")
            self.transport.abort()

    def _make_room(self) -> None:
        others = [
            connection
            for connection in cast("set[BoundedProtocol]", self.connections)
            if connection is not self and connection.waiting
        ]
        open_ones = [other for other in others if not other.transport.is_closing()]
        if open_ones:
            min(open_ones, key=lambda other: other._waiting_since).transport.abort()
        elif not others:
            self._refuse(503, "too_many_connections", "too many connections: try again later")

    def _refuse(self, status: int, code: str, message: str) -> None:
        """Answer with an error, without the application, and close the connection."""
        self._refused = True
        body = json.dumps(error_content("", status, code, message)).encode()
        head = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        # Closed at once, the answer could be lost while the client is still sending.
        with suppress(OSError, RuntimeError):
            self.transport.write_eof()
        self.loop.call_later(_LINGER, self.transport.abort)


def _max_connections() -> int:
    """Return how many connections leave half of the file handles for everything else."""
    try:
        import resource  # noqa: PLC0415  # not on Windows
    except ImportError:
        return _MAX_CONNECTIONS
    handles, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MAX_CONNECTIONS if handles < 0 else max(8, min(_MAX_CONNECTIONS, handles // 2))
