"""A client that is still sending gets the answer to its request."""

import http.client
import socket
import urllib.error
import urllib.request

import httpx
import pytest
import requests

from tests.app.photos import encoded, photo
from tests.app.servers import Service, in_thread

LARGE = bytes(8_000_000)  # more than the buffers between client and service hold
HEAD = b"POST /caption HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\n"


@pytest.fixture(scope="module")
def address(bundle) -> str:
    with in_thread(bundle, max_upload_bytes=100_000) as service:
        yield f"http://127.0.0.1:{service.port}/caption"


def test_urllib_reads_the_refusal_of_an_upload(address: str) -> None:
    request = urllib.request.Request(address, LARGE, {"Content-Type": "image/jpeg"})  # noqa: S310
    with pytest.raises(urllib.error.HTTPError, match="413") as refused:
        urllib.request.urlopen(request)  # noqa: S310
    assert b"at most 0.1 MB" in refused.value.read()
    refused.value.close()


def test_requests_reads_the_refusal_of_an_upload(address: str) -> None:
    response = requests.post(address, LARGE, headers={"Content-Type": "image/jpeg"}, timeout=30)
    assert response.status_code == 413
    assert response.headers["connection"] == "close"
    response = requests.post(address, files={"image": LARGE}, timeout=30)
    assert response.status_code == 413


def test_httpx_reads_the_refusal_of_an_upload(address: str) -> None:
    for options in ({"content": LARGE}, {"files": {"image": LARGE}}, {"content": iter([LARGE])}):
        response = httpx.post(address, headers={"X-Request-ID": "mine"}, timeout=30, **options)
        assert response.status_code == 413
        assert response.headers["x-request-id"] == "mine"


def test_a_client_that_waits_to_be_asked_gets_the_refusal_at_once(service: Service) -> None:
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
        connection.sendall(HEAD + b"Content-Length: 90000000\r\nExpect: 100-continue\r\n\r\n")
        answer = b""
        while received := connection.recv(4096):
            answer += received
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert answer.endswith(b"}")


def test_a_client_that_waits_to_be_asked_is_asked(service: Service) -> None:
    picture = encoded(photo(), "JPEG")
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
        length = b"Content-Length: %d\r\n" % len(picture)
        connection.sendall(HEAD + length + b"Expect: 100-continue\r\n\r\n")
        assert connection.recv(4096) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(picture)
        assert connection.recv(4096).startswith(b"HTTP/1.1 200 OK")


def test_a_small_refused_body_leaves_the_connection_open(service: Service) -> None:
    picture = encoded(photo(), "JPEG")
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=10)
    for path, status in [("/caption?beam_size=99", 422), ("/caption", 200)]:
        connection.request("POST", path, picture, {"Content-Type": "image/jpeg"})
        response = connection.getresponse()
        assert response.status == status
        assert response.getheader("connection") is None
        response.read()
    connection.close()
