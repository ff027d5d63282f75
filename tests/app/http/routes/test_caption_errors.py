from collections.abc import Iterator

import httpx
import pytest

from tests.app import photos as pictures
from tests.app.answers import JPEG, assert_error, captions, raw


@pytest.fixture(autouse=True)
def _same_captions_afterwards(client: httpx.Client) -> Iterator[None]:
    """Whatever a test sends, the service must caption as before."""
    before = captions(raw(client, JPEG))
    yield
    assert captions(raw(client, JPEG)) == before


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"beam_size": 0}, "beam_size"),
        ({"beam_size": 11}, "less than or equal to 10, got '11'"),
        ({"beam_size": "three"}, "beam_size"),
        ({"beam_size": ""}, "beam_size"),
        ({"num_captions": 0}, "num_captions"),
        ({"num_captions": 4}, "at most beam_size (3)"),
        ({"beam_size": 2, "num_captions": 3}, "at most beam_size (2)"),
        ({"max_length": 0}, "max_length"),
        ({"max_length": 51}, "max_length"),
        ({"length_penalty": -0.1}, "length_penalty"),
        ({"length_penalty": 2.1}, "length_penalty"),
        ({"length_penalty": "nan"}, "length_penalty: input should be a finite number"),
        ({"temperature": "nan"}, "temperature: input should be a finite number"),
        ({"temperature": 10.1}, "temperature: input should be less than or equal to 10"),
        ({"attention": "perhaps"}, "attention"),
        ({"image_gain": "perhaps"}, "image_gain"),
        ({"image_gain": True}, "image_gain needs a mean picture, which the captioner 'tiny' lacks"),
        ({"consensus": "perhaps"}, "consensus"),
        (
            {"consensus": True},
            "consensus needs a table of expected words, which",
        ),
        ({"beamsize": 3}, "beamsize: unknown parameter"),
    ],
)
def test_invalid_parameters_are_refused(
    client: httpx.Client, parameters: dict[str, object], says: str
) -> None:
    assert says in assert_error(raw(client, JPEG, **parameters), 422, "invalid_parameter")


@pytest.mark.parametrize("content_type", ["image/jpeg", "application/json", None])
def test_an_empty_body_is_refused(client: httpx.Client, content_type: str | None) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    assert_error(client.post("/caption", headers=headers), 400, "empty_body")


def test_an_empty_file_in_a_form_is_refused(client: httpx.Client) -> None:
    response = client.post("/caption", files={"image": ("photo.jpg", b"")})
    assert_error(response, 400, "empty_body")


def test_a_text_file_named_jpg_is_refused(client: httpx.Client) -> None:
    files = {"image": ("photo.jpg", b"this is no photograph\n" * 9, "image/jpeg")}
    message = assert_error(client.post("/caption", files=files), 415, "unsupported_image")
    assert "send JPEG" in message


def test_a_truncated_jpeg_is_refused(client: httpx.Client) -> None:
    assert_error(raw(client, JPEG[: len(JPEG) // 2]), 400, "malformed_image")


def test_too_many_pixels_are_refused_by_the_header(client: httpx.Client) -> None:
    bomb = pictures.png_header(30_000, 30_000)
    assert_error(raw(client, bomb, "image/png"), 413, "too_many_pixels")


def test_zeros_are_refused(client: httpx.Client) -> None:
    assert_error(raw(client, bytes(50_000_000)), 413, "body_too_large")
    assert_error(raw(client, bytes(19_000_000)), 415, "unsupported_image")


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "audio/mpeg", "application/xml", "image"],
)
def test_an_unsupported_content_type_is_refused(client: httpx.Client, content_type: str) -> None:
    message = assert_error(raw(client, JPEG, content_type), 415, "unsupported_content_type")
    assert content_type in message
    assert "multipart" in message


def test_a_missing_content_type_is_refused(client: httpx.Client) -> None:
    response = client.post("/caption", content=JPEG)
    assert_error(response, 415, "unsupported_content_type")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_other_methods_are_refused(client: httpx.Client, method: str) -> None:
    response = client.request(method, "/caption")
    assert_error(response, 405, "method_not_allowed")
    assert response.headers["allow"] == "POST"


def test_an_option_given_twice_is_refused(client: httpx.Client) -> None:
    answer = client.post("/caption?beam_size=99&beam_size=3", files={"image": ("a.jpg", JPEG)})
    assert "beam_size: is given more than once" in assert_error(answer, 422, "invalid_parameter")
