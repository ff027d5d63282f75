import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import pytest

from app.serving import caption_requests, jobs
from tests.app.answers import assert_error
from tests.app.photos import encoded, photo
from tests.app.servers import Service, in_thread, wait_until

JPEG = encoded(photo(), "JPEG")
HEADERS = {"Content-Type": "image/jpeg"}


class Gate:
    """Blocks the real encoder until it is opened, and records the calling threads."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.threads: list[str] = []

    def __call__(self, *_: object) -> None:
        self.threads.append(threading.current_thread().name)
        assert self.open.wait(30)


@contextmanager
def gate(service: Service) -> Iterator[Gate]:
    closed = Gate()
    with service.engine.models.find_captioner().runner.encoder.register_forward_pre_hook(closed):
        try:
            yield closed
        finally:
            closed.open.set()


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(16) as pool:
        yield pool


def post(service: Service) -> httpx.Response:
    return service.client.post("/caption", content=JPEG, headers=HEADERS)


def test_the_event_loop_answers_while_the_model_works(
    service: Service, threads: ThreadPoolExecutor
) -> None:
    with gate(service) as closed:
        pending = threads.submit(post, service)
        wait_until(lambda: bool(closed.threads))
        for path in ("/health/live", "/health/ready", "/models", "/openapi.json"):
            assert service.client.get(path, timeout=5).status_code == 200
        assert not pending.done()
        closed.open.set()
        assert pending.result().status_code == 200
    assert closed.threads == ["inference_0"]


def test_concurrent_requests_get_the_same_captions_as_sequential_ones(
    service: Service, threads: ThreadPoolExecutor
) -> None:
    def caption(picture: bytes) -> list[dict]:
        answer = service.client.post("/caption", content=picture, headers=HEADERS)
        assert answer.status_code == 200
        return answer.json()["captions"]

    different = [encoded(photo(20 + 10 * i, 40)) for i in range(12)]
    alone = [caption(picture) for picture in different]
    assert len({json.dumps(captions) for captions in alone}) > 6
    for together, expected in zip(threads.map(caption, different), alone, strict=True):
        assert [c["text"] for c in together] == [c["text"] for c in expected]
        logprobs = [c["logprob"] for c in expected]
        assert [c["logprob"] for c in together] == pytest.approx(logprobs, abs=1e-4)


def test_a_caption_that_misses_the_deadline_is_dropped(bundle, threads: ThreadPoolExecutor) -> None:
    with in_thread(bundle, deadline=0.5) as service, gate(service) as closed:
        pending = [threads.submit(post, service) for _ in range(3)]
        for response in pending:
            answer = response.result()
            assert_error(answer, 503, "deadline_exceeded")
            assert 1 <= int(answer.headers["retry-after"]) <= 60
        assert len(closed.threads) == 1  # the others never started
        closed.open.set()
        wait_until(lambda: service.engine.worker.in_flight == 0)
        assert post(service).status_code == 200


def test_a_full_queue_refuses_requests_with_retry_after(
    bundle, threads: ThreadPoolExecutor
) -> None:
    with in_thread(bundle, queue_size=2) as service, gate(service) as closed:
        pending = [threads.submit(post, service) for _ in range(2)]
        wait_until(lambda: service.engine.worker.in_flight == 2)
        answer = post(service)
        assert answer.status_code == 429
        assert answer.json()["error"]["code"] == "overloaded"
        assert 1 <= int(answer.headers["retry-after"]) <= 60
        # Refusing a large upload leaves the connection usable for the next request.
        large = service.client.post("/caption", content=JPEG * 5_000, headers=HEADERS)
        assert large.status_code == 429
        assert service.client.get("/health/live").status_code == 200
        closed.open.set()
        assert [response.result().status_code for response in pending] == [200, 200]
        assert post(service).status_code == 200


def test_a_client_that_disconnects_while_waiting_uses_no_model_time(
    service: Service, threads: ThreadPoolExecutor
) -> None:
    head = f"POST /caption HTTP/1.1\r\nHost: x\r\nContent-Length: {len(JPEG)}\r\n"
    request = f"{head}Content-Type: image/jpeg\r\n\r\n".encode() + JPEG
    with gate(service) as closed:
        pending = threads.submit(post, service)
        wait_until(lambda: bool(closed.threads))
        with socket.create_connection(("127.0.0.1", service.port)) as connection:
            connection.sendall(request)
            wait_until(lambda: service.engine.worker.in_flight == 2)
        wait_until(lambda: service.engine.worker.in_flight == 1)
        closed.open.set()
        assert pending.result().status_code == 200
        assert post(service).status_code == 200
    assert len(closed.threads) == 2


def test_a_client_that_disconnects_during_an_upload_leaves_the_service_working(
    service: Service,
) -> None:
    head = b"POST /caption HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n"
    with socket.create_connection(("127.0.0.1", service.port)) as connection:
        connection.sendall(head + b"Content-Type: image/jpeg\r\n\r\n" + JPEG[:100])
    assert post(service).status_code == 200
    assert service.engine.worker.in_flight == 0


def test_a_picture_that_costs_much_gets_the_same_caption(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = post(service).json()
    monkeypatch.setattr(jobs, "_MAX_MEMORY", 0)
    answer = post(service).json()
    assert answer["captions"] == expected["captions"]
    assert (answer["image"]) == expected["image"]


def test_a_picture_that_outlives_the_deadline_is_stopped_and_holds_nobody_up(
    bundle, monkeypatch: pytest.MonkeyPatch, threads: ThreadPoolExecutor
) -> None:
    stopped = threading.Event()

    async def decode_forever(*_: object) -> None:
        try:
            await asyncio.sleep(600)
        finally:
            stopped.set()

    with in_thread(bundle, deadline=1.0) as service:
        monkeypatch.setattr(caption_requests, "decode_in_process", decode_forever)
        monkeypatch.setattr(jobs, "_MAX_MEMORY", 20_000)
        large = encoded(photo(100, 100), "JPEG")
        slow = [
            threads.submit(service.client.post, "/caption", content=large, headers=HEADERS)
            for _ in range(4)
        ]
        wait_until(lambda: service.engine.worker.in_flight == 4)
        assert post(service).status_code == 200  # a small one, meanwhile
        for answer in slow:
            assert_error(answer.result(), 503, "deadline_exceeded")
        assert stopped.is_set()


def test_stopping_finishes_the_running_job(bundle, threads: ThreadPoolExecutor) -> None:
    with in_thread(bundle) as service, gate(service) as closed:
        pending = threads.submit(post, service)
        wait_until(lambda: bool(closed.threads))
        service.server.should_exit = True
        wait_until(lambda: not listening(service.port))
        assert not pending.done()
        closed.open.set()
        assert pending.result().status_code == 200


def listening(port: int) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0
