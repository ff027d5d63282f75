"""What wraps every request: its id, CORS, security headers, a log line and the body limit."""

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

_VALID_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}").fullmatch

# For a form's boundaries and part headers, or JSON's braces and the start of a data URI.
_ENVELOPE_BYTES = 64 * 1024

# /docs and /redoc need inline scripts and styles, but nothing from other origins.
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
    """Return the middleware that wraps the routes, outermost first."""
    cors = Middleware(
        CORSMiddleware,
        allow_origins=settings.cors_origins,
        allow_methods=["GET", "POST"],
        allow_headers=["*"],
        expose_headers=["X-Request-ID", "Retry-After"],
    )
    return [
        Middleware(CorrelationIdMiddleware, validator=lambda id_: bool(_VALID_ID(id_))),
        *([cors] if settings.cors_origins else []),
        Middleware(_SecurityHeaders),
        Middleware(_RequestLog),
        Middleware(_BodyLimit, max_upload_bytes=settings.max_upload_bytes),
    ]


class _SecurityHeaders:
    """Adds security headers to every response."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_SECURITY_HEADERS)
            await send(message)

        await self.app(scope, receive, send_with_headers)


class _RequestLog:
    """Logs one line per request, and turns an unexpected error into a 500 and a traceback.

    Routes add fields to the line with `structlog.contextvars.bind_contextvars`.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status = time.perf_counter(), 0

        async def send_and_record_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=correlation_id.get())
        try:
            await self.app(scope, receive, send_and_record_status)
        except Exception:
            _log.exception("unexpected error")
            if status:
                raise  # too late for an error response: the server closes the connection
            message = (
                "internal error, not caused by your request: the service's log has the details"
            )
            response = error_response(ServiceError.status, ServiceError.code, message)
            await response(scope, receive, send_and_record_status)
        finally:
            # The percent-encoded path, so that no line break gets into the log.
            path = scope.get("raw_path", b"").decode("ascii", "replace")
            log = _log.debug if path.startswith("/health/") else _log.info
            milliseconds = round(1000 * (time.perf_counter() - started), 1)
            log("request", method=scope["method"], path=path, status=status, ms=milliseconds)


class _BodyLimit:
    """Refuses bodies that are too large, by their Content-Length or else while they arrive.

    Args:
        app: the wrapped application.
        max_upload_bytes: most bytes of a picture; base64 in JSON may have a third more.
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
            f"the body is too large: a picture may have at most {self.max_upload_bytes / 1e6:g} MB"
        )
        if int(headers.get("content-length", 0)) > limit:
            response = error_response(too_large.status, too_large.code, too_large.message)
            await response(scope, receive, send)
        else:
            await self.app(scope, _limit_receive(receive, limit, too_large), send)


def _limit_receive(receive: Receive, limit: int, too_large: BodyTooLarge) -> Receive:
    received = 0

    async def receive_and_count() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > limit:
            raise too_large
        return message

    return receive_and_count
