"""Traces of requests by OpenTelemetry, with the extra `telemetry`.

They are on where the standard variables name a collector, see `docs/operations.md`.
"""

import os

import structlog
from fastapi import FastAPI

from app.version import VERSION

__all__ = ["trace_requests"]

_log = structlog.get_logger("app")

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")

# What balancers and Prometheus ask all the time.
_EXCLUDED = "/health/live,/health/ready,/metrics"


def trace_requests(app: FastAPI) -> None:
    """Send a span for each request to the collector that the environment names, if any.

    Spans are sent from a thread of their own, the last ones at the end of the process.
    """
    disabled = os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
    if disabled or not any(map(os.environ.get, _ENDPOINTS)):
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
            OTLPSpanExporter,
        )
        from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor  # noqa: PLC0415
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ImportError as error:
        _log.warning(
            "no traces are sent: install the extra `telemetry`, or unset the variables",
            variables=[name for name in _ENDPOINTS if name in os.environ],
            reason=str(error),
        )
        return
    service = {
        "service.name": os.environ.get("OTEL_SERVICE_NAME") or "unrolled",
        "service.version": VERSION,
    }
    provider = TracerProvider(resource=Resource.create(service))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    FastAPIInstrumentor.instrument_app(
        app,
        tracer_provider=provider,
        excluded_urls=_EXCLUDED,
        exclude_spans=["receive", "send"],  # one span a request
    )
    app.state.tracer_provider = provider
