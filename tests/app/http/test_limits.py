"""What a client sends is bounded in size and in time, and by what all clients send together."""

import gzip
import http.client
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest

from tests.app.answers import assert_error, captions, raw
from tests.app.photos import encoded, photo
from tests.app.servers import Service, in_thread, wait_until

PICTURE = encoded(photo(), "JPEG")
HEAD = b"POST /caption HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\n"


@pytest.fixture(scope="module")
def strict(bundle) -> Iterator[Service]:
    """A service that loses patience soon and has little memory for uploads."""
    with in_thread(
        bundle, client_timeout=0.3, max_upload_bytes=600_000, uploads_megabytes=1
    ) as service:
        yield service


def read_response(connection: socket.socket) -> http.client.HTTPResponse:
    response = http.client.HTTPResponse(connection, method="POST")
    response.begin()
    return response


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate, gzip"])
@pytest.mark.parametrize("kind", ["image/jpeg", "application/json"])
def test_a_compressed_body_is_refused_by_name(
    client: httpx.Client, encoding: str, kind: str
) -> None:
    headers = {"Content-Type": kind, "Content-Encoding": encoding}
    response = client.post("/caption", content=gzip.compress(PICTURE), headers=headers)
    message = assert_error(response, 415, "unsupported_content_type")
    assert f"Content-Encoding {encoding!r}" in message


def test_a_body_whose_encoding_is_none_is_read(client: httpx.Client) -> None:
    headers = {"Content-Type": "image/jpeg", "Content-Encoding": "identity"}
    assert captions(client.post("/caption", content=PICTURE, headers=headers))


@pytest.mark.parametrize(
    "large", [{"headers": {"X-Large": "a" * 33_000}}, {"params": {"large": "a" * 33_000}}]
)
def test_large_headers_are_refused(client: httpx.Client, large: dict) -> None:
    assert_error(client.get("/health/live", **large), 431, "headers_too_large")


def test_a_body_that_stops_is_given_up(strict: Service) -> None:
    for framing in (b"Content-Length: 9000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n5\r\n"):
        with socket.create_connection(("127.0.0.1", strict.port), timeout=10) as connection:
            connection.sendall(HEAD + framing + b"start")
            response = read_response(connection)
            assert response.status == 408
            assert b"did not arrive in time: 5 bytes came" in response.read()
    assert captions(raw(strict.client, PICTURE))


def test_bodies_share_their_memory(strict: Service) -> None:
    part = bytes(500_000)
    with ExitStack() as stack:
        connections = [
            stack.enter_context(socket.create_connection(("127.0.0.1", strict.port), timeout=10))
            for _ in range(4)
        ]
        for connection in connections:
            connection.sendall(HEAD + b"Content-Length: 500001\r\n\r\n" + part)
        statuses = [read_response(connection).status for connection in connections]
    assert 503 in statuses
    assert set(statuses) == {408, 503}
    wait_until(lambda: raw(strict.client, PICTURE).status_code == 200, seconds=5)
