"""What happens around every request: its id, its log line, its limits, the security headers.

Knows ASGI messages; knows nothing of captions.
"""

import re
import time

import structlog
from asgi_correlation_id import CorrelationIdMiddleware, correlation_id
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import BodyTooLarge, ServiceError
from app.http.error_handlers import error_response
from app.settings import Settings

__all__ = ["middleware"]

_log = structlog.get_logger("app")

_SANE_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}").fullmatch

# A form's boundaries and part headers, or JSON's braces and the head of a data URI.
_ENVELOPE_BYTES = 64 * 1024

# The pages under /docs and /redoc carry inline scripts and styles, and nothing from elsewhere.
_SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; worker-src 'self' blob:; frame-ancestors 'none'"
    ),
}


def middleware(settings: Settings) -> list[Middleware]:
    """List what wraps the routes, the outermost first."""
    cors = Middleware(
        CORSMiddleware,
        allow_origins=settings.cors_origins,
        allow_methods=["GET", "POST"],
        allow_headers=["*"],
        expose_headers=["X-Request-ID", "Retry-After"],
    )
    return [
        Middleware(CorrelationIdMiddleware, validator=lambda id_: bool(_SANE_ID(id_))),
        *([cors] if settings.cors_origins else []),
        Middleware(SecurityHeaders),
        Middleware(RequestLog),
        Middleware(BodyLimit, max_upload_bytes=settings.max_upload_bytes),
    ]


class SecurityHeaders:
    """Adds to every response the headers that tell browsers to be careful."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_SECURITY_HEADERS)
            await send(message)

        await self.app(scope, receive, send_with_headers)


class RequestLog:
    """Logs one line a request; an error that nobody expected becomes a 500 and a traceback.

    Routes add to the line with `structlog.contextvars.bind_contextvars`.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status = time.perf_counter(), 0

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=correlation_id.get())
        try:
            await self.app(scope, receive, send_and_note)
        except Exception:
            _log.exception("unexpected error")
            if status:
                raise  # too late for another answer: the server cuts the connection
            message = "something broke here, not in your request; the log has the details"
            response = error_response(ServiceError.status, ServiceError.code, message)
            await response(scope, receive, send_and_note)
        finally:
            # The path as it was sent, percent-encoded: no line break gets into the log.
            path = scope.get("raw_path", b"").decode("ascii", "replace")
            log = _log.debug if path.startswith("/health/") else _log.info
            milliseconds = round(1000 * (time.perf_counter() - started), 1)
            log("request", method=scope["method"], path=path, status=status, ms=milliseconds)


class BodyLimit:
    """Refuses bodies that are too long, by their header or, failing that, as they arrive.

    Args:
        app: what is wrapped.
        max_upload_bytes: size of the largest picture; base64 in JSON takes a third more.
    """

    def __init__(self, app: ASGIApp, max_upload_bytes: int) -> None:
        self.app = app
        self.max_upload_bytes = max_upload_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        limit = self.max_upload_bytes + _ENVELOPE_BYTES
        if "json" in headers.get("content-type", "").lower():
            limit += -(-self.max_upload_bytes // 3)
        too_large = BodyTooLarge(
            f"the body is too large: pictures have at most {self.max_upload_bytes / 1e6:g} MB"
        )
        if int(headers.get("content-length", 0)) > limit:
            response = error_response(too_large.status, too_large.code, too_large.message)
            await response(scope, receive, send)
        else:
            await self.app(scope, _counting(receive, limit, too_large), send)


def _counting(receive: Receive, limit: int, too_large: BodyTooLarge) -> Receive:
    received = 0

    async def receive_and_count() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > limit:
            raise too_large
        return message

    return receive_and_count
