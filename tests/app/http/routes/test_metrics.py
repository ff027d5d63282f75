import re
from pathlib import Path

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from tests.app.photos import encoded, photo
from tests.app.servers import in_thread, wait_until

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
LABELS = {
    "method", "route", "status", "code", "le", "model", "kind", "model_version", "device",
    "version",
}  # fmt: skip


@pytest.fixture
def busy(writers: httpx.Client) -> httpx.Client:
    """A client of a service that has captioned, written and refused."""
    image = {"image": ("photo.png", encoded(photo()))}
    assert writers.post("/caption", files=image).status_code == 200
    text = {"model": "verse", "max_tokens": 20}
    assert writers.post("/generate-text", json=text).status_code == 200
    assert writers.get("/nowhere").status_code == 404
    return writers


def test_prometheus_reads_them(busy: httpx.Client) -> None:
    response = busy.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=")
    families = {family.name: family for family in parse_text(response.text)}
    response = busy.get("/metrics", headers={"Accept": OPENMETRICS})
    assert response.headers["content-type"].startswith("application/openmetrics-text")
    assert {family.name for family in parse_openmetrics(response.text)} >= {
        name for name in families if name.startswith("unrolled_") and "_created" not in name
    }


def test_they_follow_the_conventions(busy: httpx.Client) -> None:
    """The rules of `promtool check metrics`, for the service's own."""
    families = [
        family
        for family in parse_text(busy.get("/metrics").text)
        if family.name.startswith("unrolled_") and not family.name.endswith("_created")
    ]
    assert len(families) == 10
    for family in families:
        assert family.documentation, family.name
        assert re.fullmatch(r"[a-z_]+", family.name)
        assert not re.search(r"_(ms|milliseconds|counter|gauge|histogram)(_|$)", family.name)
        assert not family.name.endswith("_total"), "only the samples of a counter do"
        samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
        if family.type == "counter":
            assert {sample.name for sample in samples} == {family.name + "_total"}
        if family.type == "histogram":
            infinite = {s.labels.get("le") for s in samples if s.name.endswith("_bucket")}
            assert "+Inf" in infinite
        assert {label for sample in samples for label in sample.labels} <= LABELS


def test_they_say_what_the_service_did(busy: httpx.Client) -> None:
    wait_until(lambda: dict(samples(busy))["unrolled_requests_in_flight", frozenset()] == 0)
    before = dict(samples(busy))
    text = {"model": "verse", "max_tokens": 30, "n": 2, "seed": 1}
    usage = busy.post("/generate-text", json=text).json()["usage"]
    image = {"image": ("photo.png", encoded(photo()))}
    assert busy.post("/caption", files=image).status_code == 200
    after = dict(samples(busy))

    def grew(name: str, **labels: str) -> float:
        key = (name, frozenset(labels.items()))
        return after[key] - before.get(key, 0)

    assert grew("unrolled_text_tokens_total", model="verse") >= usage["completion_tokens"] > 0
    assert grew("unrolled_batch_size_count") == grew("unrolled_batch_size_sum") == 1
    assert grew("unrolled_queue_seconds_count") == 2
    assert after["unrolled_requests_in_flight", frozenset()] == 0
    models = [dict(labels) for name, labels in after if name == "unrolled_model_info"]
    listed = busy.get("/models").json()["models"]
    assert {model["model"]: model["kind"] for model in models} == {
        model["name"]: model["kind"] for model in listed
    }


def test_the_confidence_of_captions_is_a_histogram(finished: httpx.Client) -> None:
    image = {"image": ("photo.png", encoded(photo()))}
    before = dict(samples(finished))
    best = finished.post("/caption", files=image).json()["captions"][0]
    after = dict(samples(finished))
    key = ("unrolled_caption_confidence_sum", frozenset())
    assert after[key] - before[key] == pytest.approx(best["confidence"], abs=1e-3)


def test_they_can_be_left_out(bundle: Path) -> None:
    with in_thread(bundle, metrics=False) as service:
        assert service.client.get("/metrics").status_code == 404
        assert "/metrics" not in service.client.get("/openapi.json").json()["paths"]


def samples(client: httpx.Client):
    for family in parse_text(client.get("/metrics").text):
        for sample in family.samples:
            yield (sample.name, frozenset(sample.labels.items())), sample.value


def test_every_route_is_counted_under_its_whole_path(bundle: Path) -> None:
    with in_thread(bundle) as service:
        paths = service.client.get("/openapi.json").json()["paths"]
        for path, operations in paths.items():
            for method in operations:
                service.client.request(method, path.replace("{", "").replace("}", ""))
        families = {f.name: f for f in parse_text(service.client.get("/metrics").text)}
        counted = {sample.labels["route"] for sample in families["unrolled_http_requests"].samples}
    assert counted >= set(paths)
