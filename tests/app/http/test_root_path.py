from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.http.root_path import route_path
from tests.app.photos import encoded, photo
from tests.app.servers import in_thread


@pytest.fixture(scope="module")
def prefixed(bundle: Path) -> Iterator[httpx.Client]:
    with in_thread(bundle, root_path="/captions") as service:
        yield service.client


@pytest.mark.parametrize("prefix", ["", "/captions"])
def test_a_proxy_may_take_the_root_path_away_or_leave_it(
    prefixed: httpx.Client, prefix: str
) -> None:
    image = {"image": ("photo.png", encoded(photo()))}
    assert prefixed.post(f"{prefix}/caption", files=image).status_code == 200
    assert prefixed.get(f"{prefix}/models/tiny").status_code == 200
    assert prefixed.get(f"{prefix}/static-offline-docs/favicon.png").status_code == 200
    missing = prefixed.get(f"{prefix}/v1/nowhere")
    assert missing.status_code == 404
    assert missing.json()["error"]["type"] == "not_found_error"
    assert prefixed.get(f"{prefix}/nowhere").json()["error"]["code"] == "not_found"


@pytest.mark.parametrize("prefix", ["", "/captions"])
def test_addresses_that_the_service_writes_have_it(prefixed: httpx.Client, prefix: str) -> None:
    slash = prefixed.get(f"{prefix}/models/").headers["location"]
    assert httpx.URL(slash).path == "/captions/models"
    page = prefixed.get(f"{prefix}/docs").text
    assert '"/captions/static-offline-docs/swagger-ui.css"' in page
    assert "/captions/openapi.json" in page
    document = prefixed.get(f"{prefix}/openapi.json").json()
    assert document["servers"] == [{"url": "/captions"}]


def test_the_route_path_is_what_routes_are_chosen_by() -> None:
    assert route_path({"path": "/caption"}) == "/caption"
    assert route_path({"path": "/a/caption", "root_path": "/a"}) == "/caption"
    assert route_path({"path": "/ab", "root_path": "/a"}) == "/ab"
    mounted = {"path": "/a/static/x", "root_path": "/a/static", "app_root_path": "/a"}
    assert route_path(mounted) == "/static/x"
