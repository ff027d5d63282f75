import itertools
import socket

import httpx
import pytest

from tests.app.photos import encoded, photo
from tests.app.servers import Service, in_thread

JPEG = {"Content-Type": "image/jpeg"}


@pytest.mark.parametrize("sane", ["abc-123", "0e4d0aa1f2f34d0e9a1a3a6f6e1b8a52", "a" * 128])
def test_a_sane_request_id_is_taken(client: httpx.Client, sane: str) -> None:
    answer = client.get("/nowhere", headers={"X-Request-ID": sane})
    assert answer.headers["x-request-id"] == sane
    assert answer.json()["error"]["request_id"] == sane


@pytest.mark.parametrize("odd", ["", "a b", "a" * 129, "<script>", "é".encode(), "a,b"])
def test_any_other_is_replaced(client: httpx.Client, odd: str | bytes) -> None:
    answer = client.get("/health/live", headers={"X-Request-ID": odd})
    (made,) = answer.headers.get_list("x-request-id")
    assert len(made) == 32
    assert made != client.get("/health/live").headers["x-request-id"]


@pytest.mark.parametrize("path", ["/", "/docs", "/models", "/nowhere", "/static-offline-docs/x"])
def test_every_response_has_an_id_and_careful_headers(client: httpx.Client, path: str) -> None:
    headers = client.get(path).headers
    assert headers["x-request-id"]
    assert headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]


def test_a_chunked_upload_over_the_limit(bundle) -> None:
    with in_thread(bundle, max_upload_bytes=100_000) as service:
        endless = itertools.repeat(bytes(10_000), 1_000)
        answer = service.client.post("/caption", content=endless, headers=JPEG)
        assert answer.status_code == 413
        assert answer.json()["error"]["code"] == "body_too_large"
        sound = encoded(photo(), "JPEG")
        assert service.client.post("/caption", content=sound, headers=JPEG).status_code == 200


def test_a_chunked_upload_is_refused_before_its_end(bundle) -> None:
    head = b"POST /caption HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\n"
    chunk = b"%x\r\n%s\r\n" % (200_000, bytes(200_000))
    with (
        in_thread(bundle, max_upload_bytes=100_000) as service,
        socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection,
    ):
        connection.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk)
        assert connection.recv(4096).startswith(b"HTTP/1.1 413 ")


def test_a_long_body_is_refused_before_it_is_sent(service: Service) -> None:
    head = b"POST /caption HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\n"
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
        connection.sendall(head + b"Content-Length: 50000000\r\n\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 413 ")


def test_an_unexpected_error_tells_nothing_and_is_logged(
    bundle, capfd: pytest.CaptureFixture[str]
) -> None:
    sound = encoded(photo(), "JPEG")
    with in_thread(bundle, log_format="json") as service:

        def break_down(*_: object) -> None:
            raise RuntimeError("the secret innards")

        encoder = service.engine.models.find_captioner().runner.encoder
        with encoder.register_forward_pre_hook(break_down):
            answer = service.client.post("/caption", content=sound, headers=JPEG)
        assert answer.status_code == 500
        assert answer.json()["error"]["code"] == "internal_error"
        assert answer.json()["error"]["request_id"] == answer.headers["x-request-id"]
        assert "secret" not in answer.text
        assert service.client.post("/caption", content=sound, headers=JPEG).status_code == 200
    assert "RuntimeError: the secret innards" in capfd.readouterr().err


def test_cors_is_off(client: httpx.Client) -> None:
    answer = client.get("/health/live", headers={"Origin": "https://example.org"})
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_cors_by_setting(bundle) -> None:
    with in_thread(bundle, ready=False, cors_origins="https://example.org") as service:
        for origin, allowed in (("https://example.org", True), ("https://evil.org", False)):
            answer = service.client.get("/health/live", headers={"Origin": origin})
            assert (answer.headers.get("access-control-allow-origin") == origin) is allowed
            assert answer.headers["x-request-id"]
