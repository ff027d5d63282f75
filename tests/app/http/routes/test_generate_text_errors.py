"""Whatever is sent to the text routes, they respond with an error and continue to work."""

import json
from collections.abc import Iterator

import httpx
import pytest

from tests.app.answers import assert_error
from tests.app.servers import in_thread
from tests.app.writers import texts

ROUTES = ("/generate-text", "/score", "/activations")


@pytest.fixture(autouse=True)
def _same_texts_afterwards(writers: httpx.Client) -> Iterator[None]:
    before = texts(writers, seed=1)
    yield
    assert texts(writers, seed=1) == before


def send(client: httpx.Client, path: str, body: str | bytes | dict) -> httpx.Response:
    content = json.dumps({"model": "verse"} | body) if isinstance(body, dict) else body
    return client.post(path, content=content, headers={"Content-Type": "application/json"})


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 5001}, "max_tokens: 5001 are too many: at most 5000"),
        (
            {"max_tokens": 2000, "n": 11},
            "11 texts of up to 2,000 tokens are 22,000 tokens: at most",
        ),
        ({"max_tokens": 10**30}, "max_tokens"),
        ({"max_tokens": "5"}, "valid integer, got '5'"),
        ({"max_tokens": 5.5}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"temperature": -0.1}, "temperature"),
        ({"temperature": 10.1}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"temperature": float("inf")}, "temperature"),
        ({"top_k": -1}, "top_k"),
        ({"top_p": 0}, "top_p"),
        ({"top_p": 1.1}, "top_p"),
        ({"no_repeat_ngram_size": 101}, "no_repeat_ngram_size"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**63}, "seed"),
        ({"seed": 1.5}, "seed"),
        ({"stop": ""}, "stop"),
        ({"stop": ["a"] * 5}, "stop"),
        ({"stop": [1]}, "stop"),
        ({"stop": "a" * 101}, "stop"),
        ({"n": 0}, "n: "),
        ({"n": 17}, "n: "),
        ({"logprobs": 6}, "logprobs"),
        ({"logprobs": True}, "logprobs"),
        ({"echo": 1}, "echo"),
        ({"stream": "yes"}, "stream"),
        ({"prompt": None}, "prompt"),
        ({"prompt": ["a"]}, "prompt"),
        ({"max_token": 5}, "max_token: unknown parameter"),
        ({"model": "tiny"}, "'tiny' is a captioner"),
        ({"model": None}, "model: is required, one of 'notes', 'verse'"),
        ({"model": "a" * 65}, "model"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_invalid_fields_are_refused(
    writers: httpx.Client, body: dict, says: str, stream: bool
) -> None:
    response = send(writers, "/generate-text", {"stream": stream} | body)
    message = assert_error(response, 422, "invalid_parameter")
    assert says in message
    assert len(message) < 400


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ("", 400, "empty_body"),
        ("{", 400, "malformed_body"),
        ("[" * 60_000, 400, "malformed_body"),
        (b"\xff\xfe", 400, "malformed_body"),
        (b'{"text": "\xed\xa0\x80"}', 400, "malformed_body"),
        ('{"text": "\\ud800", "prompt": "\\udc00"}', 400, "malformed_body"),
        ('{"\\ud800": 1}', 400, "malformed_body"),
        ("null", 422, "invalid_parameter"),
        ("[]", 422, "invalid_parameter"),
        ('"text"', 422, "invalid_parameter"),
        ('{"\\u0000": 1}', 422, "invalid_parameter"),
        ('{"model": 7}', 422, "invalid_parameter"),
        (json.dumps({"text": 1, "prompt": {"a": [1] * 999}}), 422, "invalid_parameter"),
        (f'{{"seed": {"9" * 5000}}}', 400, "malformed_body"),
        (json.dumps({"units": [0] * 30_000}), 422, "invalid_parameter"),
    ],
)
def test_malformed_bodies_are_refused(
    writers: httpx.Client, path: str, body: str | bytes, status: int, code: str
) -> None:
    message = assert_error(send(writers, path, body), status, code)
    assert len(message) < 800


@pytest.mark.parametrize("path", ROUTES)
def test_long_texts_and_large_bodies_are_refused(writers: httpx.Client, path: str) -> None:
    field = "prompt" if path == "/generate-text" else "text"
    message = assert_error(send(writers, path, {field: "a" * 5001}), 413, "text_too_long")
    assert message == f"{field}: 5,001 characters are too many: at most 5,000"
    big = send(writers, path, {field: "a" * 1_000_000})
    assert_error(big, 413, "text_too_long" if path == "/score" else "body_too_large")
    many = f'{{"{field}": [{"0," * 200_000}0]}}'
    assert_error(send(writers, path, many), 413, "body_too_large")


@pytest.mark.parametrize("path", ROUTES)
def test_unsuitable_models_are_refused(writers: httpx.Client, path: str) -> None:
    body = {"text": "a", "units": [0]} if path == "/activations" else {"text": "a"}
    body = {"prompt": "a"} if path == "/generate-text" else body
    message = assert_error(send(writers, path, body | {"model": "prose"}), 404, "unknown_model")
    assert message == "unknown model 'prose': the models are 'tiny', 'notes', 'verse'"
    assert_error(send(writers, path, body | {"model": "tiny"}), 422, "invalid_parameter")


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", None])
def test_other_content_types_are_refused(
    writers: httpx.Client, path: str, kind: str | None
) -> None:
    headers = {"Content-Type": kind} if kind else {}
    response = writers.post(path, content=b'{"text": "a"}', headers=headers)
    assert "JSON" in assert_error(response, 415, "unsupported_content_type")


@pytest.mark.parametrize("path", ROUTES)
def test_other_methods_are_refused(writers: httpx.Client, path: str) -> None:
    assert_error(writers.get(path), 405, "method_not_allowed")


def test_any_text_is_accepted(writers: httpx.Client) -> None:
    for text in (
        "\0",
        "\x1b[31m",
        "☃",
        "🤖" * 99,
        "e\u0301" * 99,
        "ﷺ" * 99,
        "\r\n\u2028\ufffe",
        " ",
    ):
        for model in ("verse", "notes"):
            prompt = {"model": model, "prompt": text, "logprobs": 5, "echo": True, "seed": 1}
            assert texts(writers, **prompt)[0].startswith(text)
            for path in ("/score", "/activations"):
                body = {"model": model, "text": text}
                body |= {"units": [0]} if path == "/activations" else {}
                status = writers.post(path, json=body).status_code
                # `notes` reads words, and some of these texts have none to score.
                assert status == 200 or (status, model, path) == (422, "notes", "/score")


def test_limits_come_from_the_settings(weights) -> None:
    with in_thread(weights, max_tokens=10, max_text_length=20) as service:
        (text,) = texts(service.client)
        assert len(text) == 10
        response = send(service.client, "/generate-text", {"max_tokens": 11})
        assert "at most 10" in assert_error(response, 422, "invalid_parameter")
        response = send(service.client, "/generate-text", {"prompt": "a" * 21})
        assert "at most 20" in assert_error(response, 413, "text_too_long")


def test_requests_before_the_models_are_ready_are_refused(weights, monkeypatch) -> None:
    import threading

    from app.serving import registry

    may_load, load = threading.Event(), registry.load_models

    def load_later(settings):
        assert may_load.wait(30)
        return load(settings)

    monkeypatch.setattr(registry, "load_models", load_later)
    with in_thread(weights, ready=False) as service:
        try:
            for path in ROUTES:
                response = send(service.client, path, {"text": "a"})
                assert_error(response, 503, "not_ready")
        finally:
            may_load.set()
