import base64
import codecs
import json
from urllib.parse import quote

import httpx
import pytest

from app.http.uploads import from_base64
from tests.app.photos import encoded, photo
from tests.app.servers import in_thread

PNG = encoded(photo())
BASE64 = base64.b64encode(PNG).decode()


def error(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


@pytest.mark.parametrize(
    ("content", "status", "code", "says"),
    [
        ("{", 400, "malformed_body", "not JSON"),
        ("[" * 100_000, 400, "malformed_body", "not JSON"),
        ("\xff".encode("latin-1"), 400, "malformed_body", "not JSON"),
        ("null", 422, "invalid_parameter", '{"image"'),
        ("[]", 422, "invalid_parameter", '{"image"'),
        ("{}", 422, "invalid_parameter", "image: is required"),
        ('{"image": 1}', 422, "invalid_parameter", "valid string, got 1"),
        (
            f'{{"image": "{BASE64}", "beam": 3}}',
            422,
            "invalid_parameter",
            "beam: unknown parameter",
        ),
        ('{"image": ""}', 400, "empty_body", "no picture"),
        ('{"image": "*not base64*"}', 400, "malformed_body", "not base64"),
        ('{"image": "é"}', 400, "malformed_body", "not base64"),
        ('{"image": "AAAAA"}', 400, "malformed_body", "cut short"),
        ('{"image": "data:image/png;base64"}', 400, "malformed_body", "a comma"),
        ('{"image": "data:image/png;base64,*"}', 400, "malformed_body", "not base64"),
        (f'{{"image": "data:image/png,{BASE64}"}}', 415, "unsupported_image", "send JPEG"),
    ],
)
def test_bad_json_is_reported(
    client: httpx.Client, content: str | bytes, status: int, code: str, says: str
) -> None:
    headers = {"Content-Type": "application/json"}
    response = client.post("/caption", content=content, headers=headers)
    assert error(response) == (status, code)
    message = response.json()["error"]["message"]
    assert says in message
    assert len(message) < 400


URL_SAFE = BASE64.replace("+", "-").replace("/", "_")
LINES = "\r\n".join(BASE64[at : at + 76] for at in range(0, len(BASE64), 76))


@pytest.mark.parametrize(
    "text",
    [
        BASE64.rstrip("="),
        URL_SAFE,
        URL_SAFE.rstrip("="),
        LINES,
        LINES.replace("\r", ""),
        f" {BASE64}\t\n",
        f"data:image/png;base64,{BASE64}",
        f"DATA:image/PNG;BASE64,{BASE64}",
        f"data:;base64,{BASE64}",
        f"data:text/plain;charset=utf-8;name=a.png;base64,{URL_SAFE}",
        f"data:image/png;base64,{quote(LINES, safe='')}",
        f"data:image/png,{quote(PNG)}",
    ],
)
def test_base64_and_data_uris_of_every_kind_are_read(text: str) -> None:
    assert from_base64(text) == PNG


@pytest.mark.parametrize("bom", [b"", codecs.BOM_UTF8])
def test_json_may_start_with_a_byte_order_mark(client: httpx.Client, bom: bytes) -> None:
    body = bom + json.dumps({"image": BASE64}).encode()
    headers = {"Content-Type": "application/json"}
    assert client.post("/caption", content=body, headers=headers).status_code == 200


def test_the_limit_is_the_same_in_every_form(bundle) -> None:
    allowed, too_long = bytes(100_000), bytes(100_001)
    with in_thread(bundle, max_upload_bytes=100_000) as service:

        def send_all(data: bytes) -> list[tuple[int, str]]:
            raw = {"Content-Type": "image/jpeg"}
            post, text = service.client.post, base64.b64encode(data).decode()
            return [
                error(post("/caption", content=data, headers=raw)),
                error(post("/caption", files={"image": ("a.jpg", data)})),
                error(post("/caption", json={"image": text})),
                error(post("/caption", json={"image": f"data:image/png;base64,{text}"})),
            ]

        assert send_all(allowed) == [(415, "unsupported_image")] * 4
        assert send_all(too_long) == [(413, "body_too_large")] * 4
