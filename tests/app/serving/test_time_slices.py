"""Other requests run between a long text's time slices; a disconnected client costs nothing."""

import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import httpx
import pytest

from tests.app.answers import JPEG, assert_error, captions, raw
from tests.app.servers import Service, in_thread, wait_until
from tests.app.writers import generate, texts

LONG = {"model": "verse", "max_tokens": 5000, "n": 4, "seed": 1}  # many seconds of work


@contextmanager
def long_text(service: Service) -> Iterator[Iterator[str]]:
    """Start a long streamed text, yield its lines, and disconnect before its end."""
    body = LONG | {"stream": True}
    with service.client.stream("POST", "/generate-text", json=body) as answer:
        assert answer.status_code == 200
        yield answer.iter_lines()


@pytest.fixture(autouse=True)
def _idle(writing: Service) -> Iterator[None]:
    yield
    wait_until(lambda: writing.engine.worker.in_flight == 0, seconds=5)


def test_a_streamed_text_arrives_while_it_is_generated(writing: Service) -> None:
    received = []
    body = {"model": "verse", "max_tokens": 1500, "seed": 1, "stream": True}
    with writing.client.stream("POST", "/generate-text", json=body) as answer:
        for line in answer.iter_lines():
            if line.startswith("data: {"):
                if not received:
                    assert writing.engine.worker.in_flight == 1  # the rest is yet to come
                received.append(json.loads(line[6:])["choices"][0]["text"])
    assert len(received) > 5
    assert max(map(len, received)) < 750
    assert (
        "".join(received)
        == generate(writing.client, **(body | {"stream": False}))["choices"][0]["text"]
    )


def test_captions_do_not_wait_for_a_long_text(writing: Service) -> None:
    with long_text(writing) as lines:
        next(lines)
        for _ in range(3):
            assert captions(raw(writing.client, JPEG))
        assert writing.engine.worker.in_flight == 1


def test_texts_share_the_inference_thread(writing: Service) -> None:
    with long_text(writing) as lines, long_text(writing) as others:
        next(lines)
        next(others)
        assert texts(writing.client, seed=1)
        assert writing.engine.worker.in_flight == 2


def test_disconnecting_from_a_stream_stops_generation(writing: Service) -> None:
    with long_text(writing) as lines:
        next(lines)
        assert writing.engine.worker.in_flight == 1
    wait_until(lambda: writing.engine.worker.in_flight == 0, seconds=2)


def send_and_disconnect(service: Service, path: str, body: dict[str, object]) -> None:
    """Send a request, wait until it is in flight, and go."""
    content = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(content)}\r\n"
    with socket.create_connection(("127.0.0.1", service.port)) as connection:
        connection.sendall(f"{head}Content-Type: application/json\r\n\r\n".encode() + content)
        wait_until(lambda: service.engine.worker.in_flight == 1)


def test_disconnecting_without_a_stream_stops_generation(writing: Service) -> None:
    send_and_disconnect(writing, "/generate-text", LONG)
    wait_until(lambda: writing.engine.worker.in_flight == 0, seconds=2)


@pytest.mark.parametrize(
    ("path", "method"),
    [("/score", "score_incrementally"), ("/activations", "activations_incrementally")],
)
def test_disconnecting_stops_reading(
    writing: Service, monkeypatch: pytest.MonkeyPatch, path: str, method: str
) -> None:
    ended = Event()

    def endless(_: str, **_options: object) -> Iterator[None]:
        try:
            while True:
                time.sleep(0.001)
                yield
        finally:
            ended.set()

    texts(writing.client, seed=1, max_tokens=1)  # so that the model is loaded
    monkeypatch.setattr(writing.engine.models.cache.load("verse"), method, endless)
    body = {"model": "verse", "text": "a"} | ({"units": [0]} if path == "/activations" else {})
    send_and_disconnect(writing, path, body)
    wait_until(lambda: writing.engine.worker.in_flight == 0, seconds=5)
    assert ended.wait(5)


def test_a_text_that_misses_its_deadline_is_dropped(weights: Path) -> None:
    with in_thread(weights, text_deadline=1e-6) as service:
        for path, body in {
            "/generate-text": LONG,
            "/score": {"model": "verse", "text": "a"},
            "/activations": {"model": "verse", "text": "a", "units": [0]},
        }.items():
            answer = service.client.post(path, json=body)
            assert "was not ready" in assert_error(answer, 503, "deadline_exceeded")
            assert int(answer.headers["retry-after"]) >= 1
        stream = service.client.post("/generate-text", json=LONG | {"stream": True})
        assert_error(stream, 503, "deadline_exceeded")
        wait_until(lambda: service.engine.worker.in_flight == 0, seconds=5)


def test_text_requests_count_as_in_flight(weights) -> None:
    with in_thread(weights, queue_size=1) as service:
        with long_text(service) as lines:
            next(lines)
            for answer in (
                raw(service.client, JPEG),
                service.client.post("/generate-text", json=LONG),
                service.client.post("/generate-text", json=LONG | {"stream": True}),
                service.client.post("/score", json={"model": "verse", "text": "a"}),
                service.client.post(
                    "/activations", json={"model": "verse", "text": "a", "units": [0]}
                ),
            ):
                assert_error(answer, 429, "overloaded")
                assert 1 <= int(answer.headers["retry-after"]) <= 60
        wait_until(lambda: service.engine.worker.in_flight == 0, seconds=2)
        assert texts(service.client, seed=1)


def test_concurrent_requests_get_the_same_texts_as_sequential_ones(writers: httpx.Client) -> None:
    def generate_one(seed: int) -> list[str]:
        return texts(writers, seed=seed, max_tokens=80)

    alone = [generate_one(seed) for seed in range(8)]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(generate_one, range(8))) == alone


def test_an_unexpected_error_is_reported_and_logged(
    weights, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a secret detail")

    with in_thread(weights, log_format="json") as service:
        with monkeypatch.context() as broken:
            broken.setattr(service.engine.models.cache.load("verse").runner, "step", fail)
            for stream in (False, True):
                body = {"model": "verse", "stream": stream}
                answer = service.client.post("/generate-text", json=body)
                assert "secret" not in assert_error(answer, 500, "internal_error")
        assert texts(service.client, seed=1)
    assert "RuntimeError: a secret detail" in capfd.readouterr().err
