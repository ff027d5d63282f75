from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.http.metrics import RequestMetrics
from app.serving.metrics import Metrics
from tests.app.photos import encoded, photo
from tests.app.servers import Service, in_thread, wait_until

JPEG = {"Content-Type": "image/jpeg"}


@pytest.fixture(scope="module")
def counted(bundle: Path) -> Iterator[Service]:
    with in_thread(bundle, api_keys="the-key-of-the-tests", root_path="/captions") as service:
        service.client.headers["x-api-key"] = "the-key-of-the-tests"
        yield service


def value(service: Service, name: str, **labels: str) -> float:
    return service.engine.metrics.registry.get_sample_value(name, labels) or 0.0


def assert_counts(service: Service, request: httpx.Request, route: str, status: str) -> None:
    counter = {"method": request.method, "route": route, "status": status}
    name = "unrolled_http_request_duration_seconds_count"
    before = value(service, "unrolled_http_requests_total", **counter)
    timed = value(service, name, route=route)
    assert service.client.send(request).status_code == int(status)
    # Counted once the answer has been sent, which the client may see first.
    wait_until(lambda: value(service, name, route=route) == timed + 1, seconds=10)
    assert value(service, "unrolled_http_requests_total", **counter) == before + 1


@pytest.mark.parametrize(
    ("method", "path", "route", "status"),
    [
        ("GET", "/health/live", "/health/live", "200"),
        ("GET", "/captions/health/live", "/health/live", "200"),
        ("GET", "/models/tiny", "/models/{name}", "200"),
        ("GET", "/models/<script>", "/models/{name}", "404"),
        ("POST", "/caption", "/caption", "400"),
        ("GET", "/nowhere", "other", "404"),
        ("GET", "/static-offline-docs/favicon.png", "other", "200"),
        ("DELETE", "/caption", "/caption", "405"),
    ],
)
def test_requests_are_counted_by_the_template_of_their_route(
    counted: Service, method: str, path: str, route: str, status: str
) -> None:
    assert_counts(counted, counted.client.build_request(method, path), route, status)


def test_what_a_client_makes_up_is_no_label(counted: Service) -> None:
    request = counted.client.build_request("PROPFIND", "/evil")
    other = {"method": "other", "route": "other", "status": "404"}
    before = value(counted, "unrolled_http_requests_total", **other)
    assert counted.client.send(request).status_code == 404
    name = "unrolled_http_requests_total"
    wait_until(lambda: value(counted, name, **other) == before + 1, seconds=10)
    shown = counted.client.get("/metrics").text
    for made_up in ("PROPFIND", "evil", "<script>", "favicon", "captions/"):
        assert made_up not in shown


def test_refusals_are_counted_by_their_code(counted: Service) -> None:
    def refused(code: str) -> float:
        return value(counted, "unrolled_errors_total", code=code)

    refusals = {
        "unauthorized": {"url": "/caption", "headers": {"x-api-key": "wrong"}},
        "unsupported_image": {"url": "/caption", "content": b"text", "headers": JPEG},
        "empty_body": {"url": "/caption"},
        "invalid_parameter": {"url": "/caption?beam_size=99"},
        "body_too_large": {"url": "/caption", "content": bytes(21_000_000), "headers": JPEG},
    }
    for code, request in refusals.items():
        before = refused(code)
        assert counted.client.post(**request).json()["error"]["code"] == code
        wait_until(lambda: refused(code) == before + 1, seconds=10)  # noqa: B023
    total = sum(map(refused, refusals))
    picture = encoded(photo(), "JPEG")
    assert counted.client.post("/caption", content=picture, headers=JPEG).status_code == 200
    assert sum(map(refused, refusals)) == total


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_an_unexpected_error_is_a_500() -> None:
    async def fail(*_: object) -> None:
        raise RuntimeError("unexpected")

    metrics = Metrics()
    counting = RequestMetrics(fail, metrics=metrics)
    with pytest.raises(RuntimeError):
        await counting({"type": "http", "method": "GET"}, None, None)
    labels = {"method": "GET", "route": "other", "status": "500"}
    assert metrics.registry.get_sample_value("unrolled_http_requests_total", labels) == 1
    code = {"code": "internal_error"}
    assert metrics.registry.get_sample_value("unrolled_errors_total", code) == 1
