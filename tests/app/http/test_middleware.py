import itertools
import socket

import httpx
import pytest

from tests.app.photos import encoded, photo
from tests.app.servers import Service, in_thread

JPEG = {"Content-Type": "image/jpeg"}


@pytest.mark.parametrize("valid", ["abc-123", "0e4d0aa1f2f34d0e9a1a3a6f6e1b8a52", "a" * 128])
def test_a_valid_request_id_is_kept(client: httpx.Client, valid: str) -> None:
    response = client.get("/nowhere", headers={"X-Request-ID": valid})
    assert response.headers["x-request-id"] == valid
    assert response.json()["error"]["request_id"] == valid


@pytest.mark.parametrize("invalid", ["", "a b", "a" * 129, "<script>", "é".encode(), "a,b"])
def test_an_invalid_request_id_is_replaced(client: httpx.Client, invalid: str | bytes) -> None:
    response = client.get("/health/live", headers={"X-Request-ID": invalid})
    (replacement,) = response.headers.get_list("x-request-id")
    assert len(replacement) == 32
    assert replacement != client.get("/health/live").headers["x-request-id"]


@pytest.mark.parametrize("path", ["/", "/docs", "/models", "/nowhere", "/static-offline-docs/x"])
def test_every_response_has_an_id_and_security_headers(client: httpx.Client, path: str) -> None:
    headers = client.get(path).headers
    assert headers["x-request-id"]
    assert headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]


@pytest.mark.parametrize(
    "path", ["/health/live", "/health/ready", "/models", "/models/tiny", "/docs", "/openapi.json"]
)
def test_head_is_answered_like_get_without_a_body(client: httpx.Client, path: str) -> None:
    response, expected = client.head(path), client.get(path)
    assert response.status_code == expected.status_code == 200
    assert response.content == b""
    assert response.headers["content-length"] == str(len(expected.content))
    assert response.headers["content-type"] == expected.headers["content-type"]


def test_head_of_a_route_for_post_is_refused(client: httpx.Client) -> None:
    response = client.head("/caption")
    assert response.status_code == 405
    assert response.headers["allow"] == "POST"


def test_a_chunked_upload_over_the_limit_is_refused(bundle) -> None:
    with in_thread(bundle, max_upload_bytes=100_000) as service:
        endless = itertools.repeat(bytes(10_000), 1_000)
        response = service.client.post("/caption", content=endless, headers=JPEG)
        assert response.status_code == 413
        assert response.json()["error"]["code"] == "body_too_large"
        picture = encoded(photo(), "JPEG")
        assert service.client.post("/caption", content=picture, headers=JPEG).status_code == 200


def test_a_chunked_upload_is_refused_before_its_end(bundle) -> None:
    head = b"POST /caption HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\n"
    chunk = b"%x\r\n%s\r\n" % (200_000, bytes(200_000))
    with (
        in_thread(bundle, max_upload_bytes=100_000) as service,
        socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection,
    ):
        connection.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk)
        assert connection.recv(4096).startswith(b"HTTP/1.1 413 ")


def test_a_large_body_is_refused_by_its_content_length(service: Service) -> None:
    head = b"POST /caption HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\n"
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
        connection.sendall(head + b"Content-Length: 50000000\r\n\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 413 ")


def test_an_unexpected_error_is_logged_and_reveals_nothing(
    bundle, capfd: pytest.CaptureFixture[str]
) -> None:
    picture = encoded(photo(), "JPEG")
    with in_thread(bundle, log_format="json") as service:

        def fail(*_: object) -> None:
            raise RuntimeError("a secret detail")

        encoder = service.engine.models.find_captioner().runner.encoder
        with encoder.register_forward_pre_hook(fail):
            response = service.client.post("/caption", content=picture, headers=JPEG)
        assert response.status_code == 500
        assert response.json()["error"]["code"] == "internal_error"
        assert response.json()["error"]["request_id"] == response.headers["x-request-id"]
        assert "secret" not in response.text
        assert service.client.post("/caption", content=picture, headers=JPEG).status_code == 200
    assert "RuntimeError: a secret detail" in capfd.readouterr().err


def test_cors_is_off_by_default(client: httpx.Client) -> None:
    response = client.get("/health/live", headers={"Origin": "https://example.org"})
    assert not [name for name in response.headers if name.startswith("access-control")]


def test_cors_allows_the_origins_of_the_setting(bundle) -> None:
    with in_thread(bundle, ready=False, cors_origins="https://example.org") as service:
        for origin, allowed in (("https://example.org", True), ("https://evil.org", False)):
            response = service.client.get("/health/live", headers={"Origin": origin})
            assert (response.headers.get("access-control-allow-origin") == origin) is allowed
            assert response.headers["x-request-id"]
