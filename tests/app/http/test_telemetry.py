import gzip
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from app.main import create_app
from app.settings import Settings
from app.version import VERSION
from tests.app.photos import encoded, photo
from tests.app.servers import in_thread

TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Run an OTLP collector and list the requests that it gets."""
    trace_service = pytest.importorskip(
        "opentelemetry.proto.collector.trace.v1.trace_service_pb2", reason="needs `telemetry`"
    )
    pytest.importorskip("opentelemetry.instrumentation.fastapi", reason="needs `telemetry`")
    received = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            received.append(trace_service.ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
    yield received
    server.shutdown()
    server.server_close()
    thread.join()


def test_each_request_is_a_span_at_the_collector(bundle: Path, collector: list[Any]) -> None:
    with in_thread(bundle, api_keys="the-key-of-the-tests") as service:
        service.client.headers["x-api-key"] = "the-key-of-the-tests"
        headers = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
        image = {"image": ("photo.png", encoded(photo()))}
        answer = service.client.post("/caption", files=image, headers=headers)
        assert answer.status_code == 200
        assert service.client.get("/models/none").status_code == 404
        app = service.server.config.app
        app.state.tracer_provider.shutdown()
    resources = [part.resource for request in collector for part in request.resource_spans]
    attributes = {one.key: one.value.string_value for one in resources[0].attributes}
    assert (attributes["service.name"], attributes["service.version"]) == ("unrolled", VERSION)
    spans = [
        span
        for request in collector
        for part in request.resource_spans
        for scope in part.scope_spans
        for span in scope.spans
    ]
    assert [span.name for span in spans] == ["POST /caption", "GET /models/{name}"]
    assert spans[0].trace_id.hex() == TRACE  # that of the client goes on
    assert "the-key-of-the-tests" not in str(collector)


def test_nothing_is_traced_unless_a_collector_is_named(
    monkeypatch: pytest.MonkeyPatch, collector: list[Any]
) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert not hasattr(create_app(Settings()).state, "tracer_provider")
    monkeypatch.delenv("OTEL_SDK_DISABLED")
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT")
    assert not hasattr(create_app(Settings()).state, "tracer_provider")


def test_without_the_extra_the_service_starts_and_says_so(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:4318/v1/traces")
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    assert not hasattr(create_app(Settings()).state, "tracer_provider")
    assert "install the extra `telemetry`" in capfd.readouterr().err
