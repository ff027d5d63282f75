"""`POST /score`: texts by language models, captions by the captioner."""

import base64
from pathlib import Path

import httpx
import numpy as np
import pytest

from model.text.language_model import LanguageModel
from tests.app.answers import JPEG, assert_error, raw
from tests.app.servers import in_thread
from tests.tiny import save_tiny_captioner

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


def test_a_caption_with_the_gates_of_a_unit(writers: httpx.Client) -> None:
    text, files = "a red ball", {"image": ("a.jpg", JPEG)}
    bare = writers.post("/score", files=files, data={"text": text, "top_logprobs": "2"}).json()
    assert "unit" not in bare
    for unit, name in ((3, "looking unit 3"), (19, "speaking unit 3")):
        as_json = score(writers, image=BASE64, text=text, top_logprobs=2, unit=unit)
        data = {"text": text, "top_logprobs": "2", "unit": str(unit)}
        as_form = writers.post("/score", files=files, data=data).json()
        assert as_json["unit"] == as_form["unit"]
        assert as_json["tokens"] == bare["tokens"]
        found = as_json["unit"]
        assert set(found) == {"unit", "name", "activations", "gates"}
        assert (found["unit"], found["name"]) == (unit, name)
        gates = {gate: np.array(values) for gate, values in found["gates"].items()}
        assert set(gates) == {"i", "f", "o", "g", "c", "h"}
        assert {values.shape for values in gates.values()} == {(len(bare["tokens"]),)}
        assert gates["f"][1:] * gates["c"][:-1] + (gates["i"] * gates["g"])[1:] == pytest.approx(
            gates["c"][1:], abs=1e-3
        )
        assert gates["o"] * np.tanh(gates["c"]) == pytest.approx(gates["h"], abs=1e-3)
        assert np.tanh(gates["c"]) == pytest.approx(np.array(found["activations"]), abs=2e-4)


def test_units_that_there_are_not_are_refused(writers: httpx.Client) -> None:
    def refused(response: httpx.Response) -> str:
        return assert_error(response, 422, "invalid_parameter")

    body = {"text": "a cat", "image": BASE64}
    for unit in (32, 10**30):
        message = refused(writers.post("/score", json=body | {"unit": unit}))
        assert message == f"unit: there is no unit {unit}: there are 0 to 31"
    for unit in (-1, 1.5, "3", True):
        assert refused(writers.post("/score", json=body | {"unit": unit})).startswith("unit: ")
    for unit in ("32", "-1", "x", "", "9" * 30):
        fields = {"text": "a cat", "unit": unit}
        message = refused(writers.post("/score", files=FILE, data=fields))
        assert message.startswith("unit: ")
    message = refused(writers.post("/score", json={"model": "verse", "text": "a", "unit": 0}))
    assert message == "unit: needs an image, whose caption is scored"


def test_cells_without_such_gates_are_named(tmp_path: Path) -> None:
    weights = save_tiny_captioner(tmp_path / "captioner", cell="gru")
    with in_thread(weights) as running:
        response = running.client.post("/score", files=FILE, data={"text": "a", "unit": "0"})
        message = assert_error(response, 422, "invalid_parameter")
        assert message == "unit: gates are those of LSTMs, and these cells are GRUs"


def test_weights_that_were_damaged_since_are_told(tmp_path: Path) -> None:
    weights = save_tiny_captioner(tmp_path / "captioner")
    with in_thread(weights) as running:
        (weights / "other").write_bytes(b"no")
        (weights / "other").replace(weights / "model.safetensors")  # which is still mapped
        response = running.client.post("/score", files=FILE, data={"text": "a", "unit": "0"})
        assert "cannot be read" in assert_error(response, 503, "unavailable")
