import http.client
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.routing import Mount

from app.http import auth
from app.http.auth import ApiKeys
from app.main import create_app
from app.settings import Settings
from tests.app.photos import encoded, photo
from tests.app.servers import Service, in_thread, wait_until

KEY, OTHER = "the-key-of-the-tests", "another-key-of-the-tests"


@pytest.fixture(scope="module")
def locked(bundle: Path) -> Iterator[Service]:
    with in_thread(
        bundle, api_keys=f"{KEY},{OTHER}", cors_origins="https://example.org"
    ) as service:
        yield service


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Authorization", f"Bearer {KEY}"),
        ("Authorization", f"bearer  {OTHER}"),
        ("api-key", KEY),
        ("x-api-key", KEY),
        ("Ocp-Apim-Subscription-Key", OTHER),
    ],
)
def test_a_key_in_any_of_the_usual_headers_is_accepted(
    locked: Service, name: str, value: str
) -> None:
    assert locked.client.get("/models", headers={name: value}).status_code == 200
    image = encoded(photo(), "JPEG")
    headers = {name: value, "Content-Type": "image/jpeg"}
    assert locked.client.post("/caption", content=image, headers=headers).status_code == 200


def test_one_valid_key_is_enough(locked: Service) -> None:
    headers = {"Authorization": "Bearer of-the-proxy", "x-api-key": KEY}
    assert locked.client.get("/models", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": f"Basic {KEY}"},
        {"Authorization": KEY},
        {"Authorization": f"Bearer {KEY[:-1]}"},
        {"Authorization": f"Bearer {KEY}{KEY}"},
        {"Authorization": f"Bearer {KEY},{OTHER}"},
        {"x-api-key": KEY.upper()},
        {"x-api-key": "é".encode("latin-1")},
        {"Cookie": f"key={KEY}"},
    ],
)
def test_no_key_or_a_wrong_one_is_refused(locked: Service, headers: dict[str, Any]) -> None:
    response = locked.client.get("/models", headers=headers)
    assert response.status_code == 401
    assert response.json()["error"]["code"] == "unauthorized"
    assert response.headers["www-authenticate"].startswith('Bearer realm="unrolled"')
    assert response.headers["x-request-id"]
    assert KEY not in response.text + str(response.headers)


def test_a_key_in_the_query_is_not_one(locked: Service) -> None:
    assert locked.client.get(f"/models?api-key={KEY}").status_code == 401


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("/v1/chat/completions", {"error": {"type": "authentication_error", "param": None}}),
        ("/api/chat", {}),
        ("/model/predict", {"status": "error"}),
        ("/vision/v3.2/describe", {"error": {"code": "Unauthorized"}}),
    ],
)
def test_the_refusal_has_the_shape_of_the_api(
    locked: Service, path: str, content: dict[str, Any]
) -> None:
    response = locked.client.post(path, json={})
    assert response.status_code == 401
    answer = response.json()
    message = answer.get("message") or answer["error"]
    message = message if isinstance(message, str) else message["message"]
    assert "an API key is needed: send it as `Authorization: Bearer KEY`" in message
    for name, value in content.items():
        assert value == answer[name] or value.items() <= answer[name].items()


def routes_of(router: Any) -> Iterator[Any]:
    """List the routes of a router and of all that it includes."""
    for route in router.routes:
        if hasattr(route, "original_router"):
            yield from routes_of(route.original_router)
        else:
            yield route


def every_path(app: Any) -> set[str]:
    """List an address of every route of the service, whether documented or not."""
    found = set(app.openapi()["paths"])
    for route in routes_of(app):
        found.add(route.path)
        if isinstance(route, Mount):
            found.add(f"{route.path}/swagger-ui-bundle.js")
    return {path.replace("{", "").replace("}", "") for path in found}


@pytest.mark.parametrize("root_path", ["", "/captions"])
def test_only_health_needs_no_key(bundle: Path, root_path: str) -> None:
    paths = every_path(create_app(Settings()))
    assert {"/", "/docs", "/redoc", "/openapi.json", "/caption", "/models"} <= paths
    assert "/static-offline-docs/swagger-ui-bundle.js" in paths
    with in_thread(bundle, api_keys=KEY, root_path=root_path) as service:
        open_paths = set()
        for path in paths | {"/nowhere", "//health/live", "/health/live/", "/health", "/health/"}:
            for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
                for prefix in {"", root_path}:
                    status = service.client.request(method, prefix + path).status_code
                    if status != 401:
                        open_paths.add(path)
        assert open_paths == {"/health/live", "/health/ready"}


def test_a_browser_may_ask_before_it_sends_a_key(locked: Service) -> None:
    preflight = {
        "Origin": "https://example.org",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }
    response = locked.client.options("/caption", headers=preflight)
    assert response.status_code == 200
    assert "authorization" in response.headers["access-control-allow-headers"].lower()
    # And it can read the refusal.
    response = locked.client.get("/models", headers={"Origin": "https://example.org"})
    assert response.status_code == 401
    assert response.headers["access-control-allow-origin"] == "https://example.org"


def test_an_upload_without_a_key_is_answered_before_it_is_read(locked: Service) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", locked.port, timeout=10)
    connection.putrequest("POST", "/caption")
    connection.putheader("Content-Type", "image/jpeg")
    connection.putheader("Content-Length", "90000000")
    connection.endheaders()
    response = connection.getresponse()  # nothing of the body was sent
    assert response.status == 401
    assert response.getheader("connection") == "close"
    connection.close()


def test_a_client_that_sends_everything_first_reads_the_refusal(locked: Service) -> None:
    response = httpx.post(
        f"http://127.0.0.1:{locked.port}/caption", content=bytes(8_000_000), timeout=30
    )
    assert response.status_code == 401


def test_no_key_is_logged(bundle: Path, capfd: pytest.CaptureFixture[str]) -> None:
    wrong = "a-key-that-is-wrong"
    with in_thread(bundle, api_keys=KEY, log_format="json", log_level="debug") as service:
        for key, status in ((KEY, 200), (wrong, 401)):
            headers = {"Authorization": f"Bearer {key}", "x-api-key": key}
            assert service.client.get("/models", headers=headers).status_code == status
        assert KEY not in repr(service.engine.settings)
    log = capfd.readouterr().err
    (refused,) = [
        line
        for line in map(json.loads, log.splitlines())
        if line["event"] == "request" and line["status"] == 401
    ]
    assert refused["error"] == "unauthorized"
    assert KEY not in log
    assert wrong not in log


def test_the_document_says_which_routes_need_a_key() -> None:
    document = create_app(Settings(api_keys=KEY)).openapi()
    needs_key = {
        path: all("security" in operation for operation in operations.values())
        for path, operations in document["paths"].items()
    }
    assert {path for path, needed in needs_key.items() if not needed} == {
        "/health/live", "/health/ready",
    }  # fmt: skip
    (scheme,) = document["components"]["securitySchemes"].values()
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    assert "securitySchemes" not in create_app(Settings()).openapi()["components"]


def test_a_file_that_changes_is_read_again(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auth, "_CHECK_INTERVAL", 0.0)
    file = tmp_path / "keys"
    file.write_text(KEY)
    with in_thread(bundle, api_keys_file=file) as service:

        def status(key: str) -> int:
            return service.client.get("/models", headers={"x-api-key": key}).status_code

        assert (status(KEY), status(OTHER)) == (200, 401)
        file.write_text(f"{KEY}\n{OTHER}\n")
        assert (status(KEY), status(OTHER)) == (200, 200)
        new = tmp_path / "new"
        new.write_text(OTHER)
        os.replace(new, file)  # noqa: PTH105
        assert (status(KEY), status(OTHER)) == (401, 200)


def test_a_file_that_becomes_useless_changes_nothing_and_is_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(auth, "_CHECK_INTERVAL", 0.0)
    file = tmp_path / "keys"
    file.write_text(KEY)
    keys = ApiKeys([], file)
    create_app(Settings())  # which sends the log to standard error
    for change in (lambda: file.write_text("# none"), file.unlink):
        change()
        assert keys.accept(KEY)
        assert not keys.accept("# none")
        log = capfd.readouterr().err
        assert log.count("the API keys stay as they were") == 1
        assert KEY not in log


def test_a_file_is_looked_at_once_a_second(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(KEY)
    keys = ApiKeys([], file)
    file.write_text(OTHER)
    started = time.monotonic()
    wait_until(lambda: keys.accept(OTHER), seconds=5)
    assert time.monotonic() - started < 2
    assert not keys.accept(KEY)
