import base64

import httpx
import pytest

from tests.app.photos import encoded, photo
from tests.app.servers import in_thread

BASE64 = base64.b64encode(encoded(photo())).decode()


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
        (f'{{"image": "{BASE64[:76]}\\n{BASE64[76:]}"}}', 400, "malformed_body", "line breaks"),
        (f'{{"image": "{BASE64[:-2]}"}}', 400, "malformed_body", "padding"),
        (f'{{"image": "data:text/plain;base64,{BASE64}"}}', 400, "malformed_body", "data URI"),
        (f'{{"image": "data:image/png,{BASE64}"}}', 400, "malformed_body", "data URI"),
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


def test_a_form_without_the_file_is_refused(client: httpx.Client) -> None:
    response = client.post("/caption", files={"photo": ("photo.png", encoded(photo()))})
    assert error(response) == (400, "malformed_body")
    assert "'photo'" in response.json()["error"]["message"]
    response = client.post("/caption", files={"image": (None, "text, not a file")})
    assert error(response) == (400, "malformed_body")
    assert "-F image=@photo.jpg" in response.json()["error"]["message"]


def test_parameters_in_a_form_are_refused(client: httpx.Client) -> None:
    files = {"image": ("photo.png", encoded(photo()))}
    response = client.post("/caption", files=files, data={"beam_size": "5"})
    assert error(response) == (400, "malformed_body")
    assert "query" in response.json()["error"]["message"]


def test_two_files_are_refused(client: httpx.Client) -> None:
    file = ("image", ("photo.png", encoded(photo())))
    assert error(client.post("/caption", files=[file, file])) == (400, "malformed_body")


@pytest.mark.parametrize(
    ("content_type", "content"),
    [
        ("multipart/form-data", b"--x\r\n"),
        ("multipart/form-data; boundary=x", b"no boundary here"),
        ("multipart/form-data; boundary=x", b""),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data\r\n\r\n1"),
        ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="image'),
    ],
)
def test_malformed_forms_are_refused(
    client: httpx.Client, content_type: str, content: bytes
) -> None:
    headers = {"Content-Type": content_type}
    response = client.post("/caption", content=content, headers=headers)
    assert error(response) == (400, "malformed_body")


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
