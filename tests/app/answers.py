"""Requests for captions, and checks of the responses."""

import httpx

from tests.app.photos import encoded, photo

JPEG = encoded(photo(), "JPEG", quality=95)


def raw(
    client: httpx.Client, data: bytes, content_type: str = "image/jpeg", **parameters: object
) -> httpx.Response:
    headers = {"Content-Type": content_type}
    return client.post("/caption", params=parameters, content=data, headers=headers)


def captions(response: httpx.Response) -> list[dict]:
    assert response.status_code == 200, response.text
    return response.json()["captions"]


def assert_error(response: httpx.Response, status: int, code: str) -> str:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    assert set(response.json()) == {"error"}
    error = response.json()["error"]
    assert set(error) == {"code", "message", "request_id"}
    assert error["code"] == code
    assert error["request_id"] == response.headers["x-request-id"]
    return error["message"]
