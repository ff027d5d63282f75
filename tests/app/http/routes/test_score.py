"""`POST /score`: texts by language models, captions by the captioner."""

import base64
from pathlib import Path

import httpx
import pytest

from model.text.language_model import LanguageModel
from tests.app.answers import JPEG, assert_error, raw

BASE64 = base64.b64encode(JPEG).decode()


def score(client: httpx.Client, **body: object) -> dict:
    response = client.post("/score", json=body)
    assert response.status_code == 200, response.text
    return response.json()


def test_a_text_gets_the_scores_of_the_model(writers: httpx.Client, weights: Path) -> None:
    found = score(writers, model="verse", text="Twinkle, twinkle")
    assert set(found) == {
        "model", "model_version", "request_id", "tokens", "logprob", "mean_logprob",
        "perplexity", "bits_per_character", "timing_ms",
    }  # fmt: skip
    expected = LanguageModel.load(weights / "text" / "verse", "cpu").score("Twinkle, twinkle")
    assert [token["token"] for token in found["tokens"]] == list("Twinkle, twinkle")
    for scored, token in zip(found["tokens"], expected.tokens, strict=True):
        assert scored["logprob"] == pytest.approx(token.logprob, abs=1e-4)
    assert found["logprob"] == pytest.approx(expected.logprob, abs=1e-3)
    assert found["mean_logprob"] == pytest.approx(expected.logprob / 16, abs=1e-4)
    assert found["perplexity"] == pytest.approx(expected.perplexity, rel=1e-4)
    assert found["bits_per_character"] == pytest.approx(expected.bits_per_character, rel=1e-4)


@pytest.mark.parametrize(
    "body",
    [
        {"model": "verse", "text": ""},
        {"model": "notes", "text": ""},
        {"model": "notes", "text": " \n"},
        {"image": BASE64, "text": ""},
        {"image": BASE64, "text": "!!!"},
    ],
)
def test_a_text_without_a_word_is_refused(writers: httpx.Client, body: dict) -> None:
    message = assert_error(writers.post("/score", json=body), 422, "invalid_parameter")
    assert message.startswith("text: has no word to score")


def test_a_caption_gets_the_same_score_as_in_search(writers: httpx.Client) -> None:
    (caption,) = raw(writers, JPEG).json()["captions"]
    text = caption["text"]
    responses = [
        writers.post("/score", json={"image": BASE64, "text": text}),
        writers.post("/score", json={"image": f"data:image/jpeg;base64,{BASE64}", "text": text}),
        writers.post("/score", json={"model": "tiny", "image": BASE64, "text": text}),
        writers.post("/score", files={"image": ("a.jpg", JPEG)}, data={"text": text}),
        writers.post(
            "/score",
            files={"image": ("a.jpg", JPEG)},
            data={"text": text, "model": "tiny"},
        ),
    ]
    for response in responses:
        assert response.status_code == 200, response.text
        found = response.json()
        assert found["model"] == "tiny"
        assert "bits_per_character" not in found
        words = [token["token"] for token in found["tokens"]]
        assert words == [token["token"] for token in caption["tokens"]]
        assert found["logprob"] == pytest.approx(caption["logprob"], abs=1e-3)
        assert found["mean_logprob"] == pytest.approx(caption["mean_logprob"], abs=1e-3)


@pytest.mark.parametrize(
    ("changes", "status", "code", "says"),
    [
        ({"model": "verse"}, 422, "invalid_parameter", "needs a captioner"),
        ({"model": "tiny", "image": None}, 422, "invalid_parameter", "image: is required"),
        ({"image": ""}, 400, "empty_body", "no picture"),
        ({"image": "*"}, 400, "malformed_body", "not base64"),
        ({"image": "AAAA"}, 415, "unsupported_image", "unsupported image format"),
        ({"text": "a " * 501}, 413, "text_too_long", "at most 1,000"),
        ({"text": None}, 422, "invalid_parameter", "text: input should be"),
    ],
)
def test_bad_json_is_reported(
    writers: httpx.Client, changes: dict, status: int, code: str, says: str
) -> None:
    response = writers.post("/score", json={"text": "a cat", "image": BASE64} | changes)
    assert says in assert_error(response, status, code)


FILE = {"image": ("a.jpg", JPEG)}


@pytest.mark.parametrize(
    ("files", "data", "status", "code", "says"),
    [
        (FILE, {}, 400, "malformed_body", "field `text`"),
        (FILE, {"text": ["a", "b"]}, 400, "malformed_body", "must be a single text"),
        (FILE, {"text": "a", "x": "y"}, 400, "malformed_body", "'x'"),
        (FILE, {"text": "a", "model": "b" * 65}, 422, "invalid_parameter", "64"),
        (FILE, {"text": "a", "model": "cat"}, 404, "unknown_model", "'cat'"),
        ({"x": b""}, {"text": "a"}, 400, "malformed_body", "'x'"),
        ({"image": b""}, {"text": "a"}, 400, "empty_body", "no picture"),
        ({"image": JPEG[:99]}, {"text": "a"}, 400, "malformed_image", "cut short"),
        (FILE | {"text": b"a"}, {}, 400, "malformed_body", ""),
    ],
)
def test_bad_forms_are_reported(
    writers: httpx.Client, files: dict, data: dict, status: int, code: str, says: str
) -> None:
    response = writers.post("/score", files=files, data=data)
    assert says in assert_error(response, status, code)


def test_a_captioner_without_a_picture_reports_it_missing(client: httpx.Client) -> None:
    message = assert_error(client.post("/score", json={"text": "a"}), 422, "invalid_parameter")
    assert message.startswith("image: is required")
