"""Slow, silent and malformed clients on raw connections."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from app.http import protocol
from tests.app.servers import Service, in_thread, wait_until

LIVE = b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
UNFINISHED = b"POST /caption HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n1"


@pytest.fixture(scope="module")
def impatient(bundle: Path) -> Iterator[Service]:
    with in_thread(bundle, client_timeout=0.3, keep_alive=0.3) as service:
        yield service


@pytest.fixture
def small(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """A service for four connections."""
    monkeypatch.setattr(protocol, "_max_connections", lambda: 4)
    with in_thread(bundle) as service:
        yield service


def connect(service: Service) -> socket.socket:
    return socket.create_connection(("127.0.0.1", service.port), timeout=10)


def answer(connection: socket.socket) -> bytes:
    received = b""
    while more := connection.recv(65536):
        received += more
    return received


def assert_refused(connection: socket.socket, status: int, code: str) -> str:
    head, _, body = answer(connection).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"Connection: close" in head
    error = json.loads(body)["error"]
    assert set(error) == {"code", "message", "request_id"}
    assert error["code"] == code
    return error["message"]


@pytest.mark.parametrize("start", [b"GET /health/live HT", LIVE[:-2] + b"X-Slow: a"])
def test_headers_that_do_not_end_are_given_up(impatient: Service, start: bytes) -> None:
    with connect(impatient) as connection:
        connection.sendall(start)
        assert "within 0.3 seconds" in assert_refused(connection, 408, "request_timeout")


def test_a_connection_that_never_sends_is_closed(impatient: Service) -> None:
    with connect(impatient) as connection:
        assert answer(connection) == b""


def test_a_connection_that_sends_nothing_more_is_closed(impatient: Service) -> None:
    with connect(impatient) as connection:
        connection.sendall(LIVE.replace(b"Connection: close\r\n", b""))
        assert answer(connection).endswith(b'{"status":"live"}')


def test_an_idle_connection_stays_open_longer_than_a_silent_one(bundle: Path) -> None:
    keep = LIVE.replace(b"Connection: close\r\n", b"")
    with in_thread(bundle, client_timeout=0.3, keep_alive=1.2) as service:
        with connect(service) as connection:
            for _ in range(2):
                connection.sendall(keep)
                assert connection.recv(65536).startswith(b"HTTP/1.1 200 OK")
                time.sleep(0.7)
            started = time.monotonic()
            assert connection.recv(65536) == b""  # closed in the end
            assert time.monotonic() - started < 3
        with connect(service) as connection:
            connection.sendall(keep)
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 OK")
            connection.sendall(LIVE[:9])  # from now on it is not idle
            assert_refused(connection, 408, "request_timeout")


def test_endless_headers_are_refused(service: Service) -> None:
    for start in (b"GET /" + b"a" * 40_000, LIVE[:-2] + b"X-Large: " + b"a" * 40_000):
        with connect(service) as connection:
            connection.sendall(start)
            assert "at most 32,768 bytes" in assert_refused(connection, 431, "headers_too_large")


def test_requests_one_after_the_other_do_not_add_up(service: Service) -> None:
    with connect(service) as connection:
        connection.sendall(
            LIVE.replace(b"Connection: close\r\n", b"X-Large: " + b"a" * 20_000 + b"\r\n") * 3
            + LIVE
        )
        assert answer(connection).count(b"HTTP/1.1 200 OK") == 4


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"HELLO\r\n\r\n",
        LIVE.replace(b"Host", b"Ho st"),
    ],
)
def test_what_is_not_http_is_refused(service: Service, data: bytes) -> None:
    with connect(service) as connection:
        connection.sendall(data)
        assert "not a valid HTTP" in assert_refused(connection, 400, "malformed_request")


def test_idle_connections_shut_nobody_out(small: Service) -> None:
    with ExitStack() as stack:
        idle = [stack.enter_context(connect(small)) for _ in range(12)]
        for connection in idle[::2]:
            connection.sendall(LIVE[:9])
        with connect(small) as connection:
            connection.sendall(LIVE)
            assert answer(connection).startswith(b"HTTP/1.1 200 OK")


def test_too_many_busy_connections_are_refused(small: Service) -> None:
    small.client.close()
    wait_until(lambda: not small.server.server_state.connections, seconds=10)
    with ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(connect(small)).sendall(UNFINISHED)
        wait_until(lambda: len(small.server.server_state.tasks) == 4, seconds=10)
        assert_refused(stack.enter_context(connect(small)), 503, "too_many_connections")


def test_a_stream_that_nobody_reads_frees_its_slot(weights: Path) -> None:
    body = json.dumps(
        {"model": "verse", "max_tokens": 5000, "n": 4, "logprobs": 5, "stream": True, "seed": 1}
    ).encode()
    head = b"POST /generate-text HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    # A machine that is busy with other work writes slowly: the deadline must not end the stream.
    with in_thread(weights, client_timeout=0.3, text_deadline=600) as service:
        for listener in service.server.servers[0].sockets:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        with socket.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect(("127.0.0.1", service.port))
            connection.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            wait_until(lambda: service.engine.worker.in_flight == 1)
            wait_until(lambda: service.engine.worker.in_flight == 0, seconds=300)
            received = b""
            with suppress(ConnectionError):
                received = answer(connection)
        assert b"[DONE]" not in received
