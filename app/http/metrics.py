"""Counting requests, their time and their errors for Prometheus."""

import time

from starlette.types import ASGIApp, Receive, Scope, Send
from structlog.contextvars import get_contextvars

from app.http.status_recorder import StatusRecorder
from app.serving.metrics import Metrics

__all__ = ["RequestMetrics"]

# Anything else that a client writes there is no label.
_METHODS = frozenset({"GET", "POST", "OPTIONS", "PUT", "PATCH", "DELETE"})


class RequestMetrics:
    """Counts requests by the template of their route; those that reach no route are `other`.

    Args:
        app: the wrapped application.
        metrics: where they are counted.
    """

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self.app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, recorder = time.perf_counter(), StatusRecorder(send)
        error = None
        try:
            await self.app(scope, receive, recorder)
        except Exception:
            recorder.status, error = recorder.status or 500, "internal_error"
            raise
        finally:
            seconds = time.perf_counter() - started
            self._count(scope, recorder.status, error or get_contextvars().get("error"), seconds)

    def _count(self, scope: Scope, status: int, error: str | None, seconds: float) -> None:
        metrics = self._metrics
        route = getattr(scope.get("route"), "path", "other")
        method = scope["method"] if scope["method"] in _METHODS else "other"
        metrics.requests.labels(method, route, status).inc()
        metrics.request_seconds.labels(route).observe(seconds)
        if error:
            metrics.errors.labels(error).inc()
