"""What wraps every request, from lingering close and HEAD to its id, a log line and limits."""

import re
import time
from ipaddress import ip_address

import structlog
from asgi_correlation_id import CorrelationIdMiddleware, correlation_id
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import ServiceError
from app.http.auth import ApiKeyAuth, ApiKeys
from app.http.error_handlers import error_response
from app.http.limits import RequestLimits
from app.http.lingering import LingeringClose
from app.http.metrics import RequestMetrics
from app.http.root_path import RootPath, route_path
from app.http.status_recorder import StatusRecorder
from app.serving.metrics import Metrics
from app.settings import Settings

__all__ = ["content_security_policy", "middleware"]

_log = structlog.get_logger("app")

_VALID_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}").fullmatch

_SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}


def content_security_policy(*scripts: str) -> str:
    """Return the policy: nothing from other origins, and of inline scripts only those named here.

    /docs and /redoc need inline styles.
    """
    sources = " ".join(["'self'", *scripts])
    return (
        f"default-src 'self'; script-src {sources}; "
        "style-src 'self' 'unsafe-inline'; img-src 'self' data:; worker-src 'self' blob:; "
        "frame-ancestors 'none'"
    )


def middleware(settings: Settings, metrics: Metrics) -> list[Middleware]:
    """Return the middleware that wraps the routes, outermost first."""
    cors = Middleware(
        CORSMiddleware,
        allow_origins=settings.cors_origins,
        allow_methods=["GET", "POST"],
        allow_headers=["*"],
        expose_headers=["X-Request-ID", "Retry-After"],
    )
    return [
        *([Middleware(RootPath, root_path=settings.root_path)] if settings.root_path else []),
        Middleware(LingeringClose),
        Middleware(CorrelationIdMiddleware, validator=lambda id_: bool(_VALID_ID(id_))),
        *([cors] if settings.cors_origins else []),
        Middleware(_SecurityHeaders),
        Middleware(_RequestLog),
        Middleware(_HeadAsGet),
        *([Middleware(RequestMetrics, metrics=metrics)] if settings.metrics else []),
        *([Middleware(ApiKeyAuth, keys=_api_keys(settings))] if settings.needs_api_key else []),
        Middleware(
            RequestLimits,
            max_upload_bytes=settings.max_upload_bytes,
            # Room for at least one of the largest, in whatever form.
            memory=max(settings.uploads_megabytes * 10**6, 2 * settings.max_upload_bytes),
            patience=settings.client_timeout,
        ),
    ]


def _api_keys(settings: Settings) -> ApiKeys:
    keys = (key.get_secret_value() for key in settings.api_keys)
    return ApiKeys(keys, settings.api_keys_file)


class _SecurityHeaders:
    """Adds security headers to every response."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(_SECURITY_HEADERS)
                headers.setdefault("Content-Security-Policy", content_security_policy())
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
        started, recorder = time.perf_counter(), StatusRecorder(send)
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=correlation_id.get())
        try:
            await self.app(scope, receive, recorder)
        except Exception:
            _log.exception("unexpected error")
            if recorder.status:
                raise  # too late for an error response: the server closes the connection
            message = (
                "internal error, not caused by your request: the service's log has the details"
            )
            response = error_response(
                route_path(scope), ServiceError.status, ServiceError.code, message
            )
            await response(scope, receive, recorder)
        finally:
            # The percent-encoded path, so that no line break gets into the log.
            path = scope.get("raw_path", b"").decode("ascii", "replace")
            log = _log.debug if path.startswith("/health/") else _log.info
            milliseconds = round(1000 * (time.perf_counter() - started), 1)
            log(
                "request",
                client=_client(scope),
                method=scope["method"],
                path=path,
                status=recorder.status,
                ms=milliseconds,
            )


def _client(scope: Scope) -> str | None:
    """Return the client's address; None if a proxy that is trusted names something else."""
    try:
        return str(ip_address(scope["client"][0]))
    except (KeyError, TypeError, ValueError):
        return None


class _HeadAsGet:
    """Answers HEAD wherever GET answers; the server leaves the body out."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}
        await self.app(scope, receive, send)
