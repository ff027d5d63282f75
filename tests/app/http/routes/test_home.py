import json
import re
from pathlib import Path
from urllib.parse import urljoin

import httpx
import pytest

WEB = Path("app/web").resolve()
FILES = sorted(path.relative_to(WEB).as_posix() for path in WEB.rglob("*") if path.is_file())


def test_the_page_is_at_the_root(client: httpx.Client) -> None:
    response = client.get("/")
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert "<title>Unrolled</title>" in response.text


def test_the_policy_allows_nothing_inline_and_nothing_from_elsewhere(client: httpx.Client) -> None:
    policy = client.get("/").headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "style-src 'self';" in policy
    assert "img-src 'self' blob: data:;" in policy
    assert "unsafe" not in policy
    assert "*" not in policy


@pytest.mark.parametrize("name", FILES)
def test_every_file_is_served_with_a_type_that_browsers_accept(
    client: httpx.Client, name: str
) -> None:
    response = client.get(f"/web/{name}")
    assert response.content == (WEB / name).read_bytes()
    kinds = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
    suffix = Path(name).suffix
    if suffix in kinds:
        assert response.headers["content-type"].startswith(kinds[suffix])


def test_what_a_module_or_the_page_asks_for_is_there(client: httpx.Client) -> None:
    for name in FILES:
        if not name.endswith((".js", ".html")) or name.startswith("vendor/"):
            continue
        text = (WEB / name).read_text()
        base = "/" if name.endswith(".html") else f"/web/{name}"
        for part in re.findall(r"""(?:from|import) '(\.[^']+)'|(?:src|href)="(web/[^"]+)""", text):
            assert client.get(urljoin(base, "".join(part))).status_code == 200, (name, part)


def test_a_browser_that_has_a_file_is_told_so(client: httpx.Client) -> None:
    first = client.get("/web/main.js")
    assert first.headers["cache-control"] == "no-cache"
    again = client.get("/web/main.js", headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304
    assert again.content == b""
    changed = client.get("/web/main.js", headers={"If-None-Match": '"another"'})
    assert changed.status_code == 200


@pytest.mark.parametrize("name", ["", "nothing.js", "../settings.py", "%2e%2e/settings.py", "css"])
def test_other_paths_are_not_found(client: httpx.Client, name: str) -> None:
    response = client.get(f"/web/{name}")
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "not_found"


def test_the_page_is_small_and_its_photographs_too() -> None:
    sizes = {name: (WEB / name).stat().st_size for name in FILES}
    photographs = {name: size for name, size in sizes.items() if name.endswith(".jpg")}
    assert max(photographs.values()) <= 60_000
    assert sum(sizes.values()) - sum(photographs.values()) <= 150_000


def test_every_photograph_has_a_credit_and_a_text() -> None:
    credits_ = json.loads((WEB / "photographs/credits.json").read_text())
    named = [photo for column in credits_["columns"] for photo in column["photographs"]]
    assert {photo["file"] for photo in named} == {
        path.name for path in (WEB / "photographs").glob("*.jpg")
    }
    assert all(photo["alt"] and photo["credit"] for photo in named)
