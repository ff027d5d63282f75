"""What Prometheus may know of the service: counters, gauges and histograms.

Labels are names of the service's own, such as those of its models, and never come from a request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector

from app.version import VERSION

if TYPE_CHECKING:
    from app.serving.registry import ModelRegistry

__all__ = ["Metrics"]

_LATENCIES = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_WAITS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_BATCHES = (1, 2, 4, 8, 16, 32, 64, 128)
_TENTHS = tuple(tenths / 10 for tenths in range(1, 11))


class Metrics:
    """The metrics of one service; may be used from any thread.

    Attributes:
        registry: holds them all, for whoever shows them.
    """

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter(
            "unrolled_http_requests", "Requests.", ("method", "route", "status"), registry=registry
        )
        self.request_seconds = Histogram(
            "unrolled_http_request_duration_seconds",
            "Seconds from a request's headers to the end of its answer.",
            ("route",),
            buckets=_LATENCIES,
            registry=registry,
        )
        self.errors = Counter(
            "unrolled_errors",
            "Requests that were refused or failed, by the error's code.",
            ("code",),
            registry=registry,
        )
        self.in_flight = Gauge(
            "unrolled_requests_in_flight",
            "Requests that wait for the models or that the models work on.",
            multiprocess_mode="livesum",
            registry=registry,
        )
        self.queue_seconds = Histogram(
            "unrolled_queue_seconds",
            "Seconds that an admitted request waited for a thread or the models.",
            buckets=_WAITS,
            registry=registry,
        )
        self.batch_size = Histogram(
            "unrolled_batch_size",
            "Pictures that were captioned together.",
            buckets=_BATCHES,
            registry=registry,
        )
        self.confidence = Histogram(
            "unrolled_caption_confidence",
            "Confidence of the best caption of a picture.",
            buckets=_TENTHS,
            registry=registry,
        )
        self.tokens = Counter(
            "unrolled_text_tokens", "Tokens that were written.", ("model",), registry=registry
        )
        self.models = Gauge(
            "unrolled_model_info",
            "The models of the service, each with the value 1.",
            ("model", "kind", "model_version", "device"),
            multiprocess_mode="livemax",
            registry=registry,
        )
        self.version = Gauge(
            "unrolled_info",
            "The version of the service, with the value 1.",
            ("version",),
            multiprocess_mode="livemax",
            registry=registry,
        )
        self.version.labels(VERSION).set(1)
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)

    def show_models(self, models: ModelRegistry) -> None:
        """Show the models that have been loaded."""
        for model in models.all.values():
            config = model.config
            self.models.labels(config.name, config.kind, config.version, models.cache.device).set(1)
