"""Long texts and the requests beside them: everybody gets a turn, and who leaves costs nothing."""

import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import pytest

from tests.app.answers import JPEG, assert_error, captions, raw
from tests.app.servers import Service, in_thread, wait_until
from tests.app.writers import generate, texts

LONG = {"model": "verse", "max_tokens": 5000, "n": 16, "seed": 1}  # many seconds of work


@contextmanager
def a_long_text(service: Service) -> Iterator[Iterator[str]]:
    """Begin a long streamed text, give its lines, and leave before its end."""
    asked = LONG | {"stream": True}
    with service.client.stream("POST", "/generate-text", json=asked) as answer:
        assert answer.status_code == 200
        yield answer.iter_lines()


@pytest.fixture(autouse=True)
def _idle(writing: Service) -> Iterator[None]:
    yield
    wait_until(lambda: writing.engine.worker.in_flight == 0, seconds=5)


def test_a_text_is_sent_while_it_is_being_written(writing: Service) -> None:
    came = []
    asked = {"model": "verse", "max_tokens": 1500, "seed": 1, "stream": True}
    began = time.monotonic()
    with writing.client.stream("POST", "/generate-text", json=asked) as answer:
        for line in answer.iter_lines():
            if line.startswith("data: {"):
                came.append((time.monotonic() - began, json.loads(line[6:])["choices"][0]["text"]))
    assert len(came) > 5
    assert came[0][0] < came[-1][0] / 3
    assert max(len(text) for _, text in came) < 750
    assert (
        "".join(text for _, text in came)
        == generate(writing.client, **(asked | {"stream": False}))["choices"][0]["text"]
    )


def test_captions_are_found_while_a_long_text_is_written(writing: Service) -> None:
    with a_long_text(writing) as lines:
        next(lines)
        for _ in range(3):
            began = time.monotonic()
            assert captions(raw(writing.client, JPEG))
            assert time.monotonic() - began < 2
        assert writing.engine.worker.in_flight == 1


def test_texts_share_the_thread(writing: Service) -> None:
    with a_long_text(writing) as lines, a_long_text(writing) as others:
        next(lines)
        next(others)
        began = time.monotonic()
        assert texts(writing.client, seed=1)
        assert time.monotonic() - began < 2
        assert writing.engine.worker.in_flight == 2


def test_who_leaves_a_stream_frees_the_thread(writing: Service) -> None:
    with a_long_text(writing) as lines:
        next(lines)
        assert writing.engine.worker.in_flight == 1
    wait_until(lambda: writing.engine.worker.in_flight == 0, seconds=2)


def test_who_leaves_without_a_stream_frees_the_thread(writing: Service) -> None:
    body = json.dumps(LONG).encode()
    head = f"POST /generate-text HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
    with socket.create_connection(("127.0.0.1", writing.port)) as connection:
        connection.sendall(f"{head}Content-Type: application/json\r\n\r\n".encode() + body)
        wait_until(lambda: writing.engine.worker.in_flight == 1)
    wait_until(lambda: writing.engine.worker.in_flight == 0, seconds=2)


def test_writers_count_among_those_in_hand(weights) -> None:
    with in_thread(weights, queue_size=1) as service:
        with a_long_text(service) as lines:
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


def test_many_at_once_get_the_texts_of_one_by_one(writers: httpx.Client) -> None:
    def write(seed: int) -> list[str]:
        return texts(writers, seed=seed, max_tokens=80)

    alone = [write(seed) for seed in range(8)]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(write, range(8))) == alone


def test_an_error_in_a_slice_is_told_and_logged(
    weights, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_down(*_: object) -> None:
        raise RuntimeError("the secret innards")

    with in_thread(weights, log_format="json") as service:
        with monkeypatch.context() as broken:
            broken.setattr(service.engine.models.cache.load("verse").runner, "step", break_down)
            for stream in (False, True):
                asked = {"model": "verse", "stream": stream}
                answer = service.client.post("/generate-text", json=asked)
                assert "secret" not in assert_error(answer, 500, "internal_error")
        assert texts(service.client, seed=1)
    assert "RuntimeError: the secret innards" in capfd.readouterr().err
