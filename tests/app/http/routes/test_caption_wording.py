"""`POST /caption` as people want captions: alt text, neutral words, tags and more."""

import base64
import io
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from PIL import Image

from model.bundle.write import save_bundle
from model.captioning.captioner import Captioner
from model.captioning.gender_neutral import gender_neutral
from model.captioning.wording import alt_text
from model.config import TaggingConfig
from tests.app.answers import JPEG, raw
from tests.app.photos import encoded, photo
from tests.app.servers import in_thread
from tests.tiny import CALIBRATION, rebuild, save_tiny_captioner


@pytest.fixture(scope="module")
def tagging_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A captioner that tags pictures, and has a confidence."""
    folder = save_tiny_captioner(
        tmp_path_factory.mktemp("tagging") / "captioner", detected_words=19
    )
    bare = Captioner.load(folder, "cpu", runtime="torch")
    config = replace(bare.config, calibration=CALIBRATION, tagging=TaggingConfig(0.8, 0.9, 0.5))
    whole = rebuild(bare, config)
    save_bundle(folder, config, bare.network.state_dict(), whole.vocabulary, whole.card)
    return folder


@pytest.fixture(scope="module")
def tagging(tagging_bundle: Path) -> Iterator[httpx.Client]:
    with in_thread(tagging_bundle) as running:
        yield running.client


def answer(client: httpx.Client, **options: object) -> dict:
    response = raw(client, JPEG, **options)
    assert response.status_code == 200, response.text
    return response.json()


def test_nothing_is_added_unless_it_is_asked_for(tagging: httpx.Client) -> None:
    body = answer(tagging)
    assert set(body) == {
        "model", "model_version", "request_id", "captions", "image", "timing_ms",
    }  # fmt: skip
    (caption,) = body["captions"]
    assert set(caption) == {
        "text", "logprob", "mean_logprob", "finished", "confidence", "tokens",
    }  # fmt: skip
    assert all(set(token) == {"token", "logprob"} for token in caption["tokens"])


def test_alt_text_is_a_field_of_its_own(tagging: httpx.Client) -> None:
    (plain,) = answer(tagging)["captions"]
    (caption,) = answer(tagging, style="alt")["captions"]
    assert caption == plain | {"alt_text": alt_text(plain["text"])}
    confidence = plain["confidence"]
    (weak,) = answer(tagging, style="alt", min_confidence=1)["captions"]
    assert weak == plain | {"alt_text": ""}
    (hedged,) = answer(tagging, style="alt", min_confidence=1, below="hedge")["captions"]
    assert hedged["alt_text"] == f"Possibly {plain['text']}."
    (strong,) = answer(tagging, style="alt", min_confidence=confidence, below="hedge")["captions"]
    assert strong == caption


def test_without_a_style_the_text_itself_is_hedged_or_emptied(tagging: httpx.Client) -> None:
    (plain,) = answer(tagging)["captions"]
    (empty,) = answer(tagging, min_confidence=1)["captions"]
    (hedged,) = answer(tagging, min_confidence=1, below="hedge")["captions"]
    assert empty == plain | {"text": ""}
    assert hedged == plain | {"text": f"Possibly {plain['text']}"}


def test_neutral_words_change_texts_and_tags_but_no_token(tagging: httpx.Client) -> None:
    options = {"beam_size": 10, "num_captions": 10, "tags": "true"}
    plain, neutral = (answer(tagging, **options, gender_neutral=wish) for wish in ("false", "true"))
    texts = [one["text"] for one in plain["captions"]]
    assert [one["text"] for one in neutral["captions"]] == list(map(gender_neutral, texts))
    assert texts != list(map(gender_neutral, texts))
    assert [one["tokens"] for one in neutral["captions"]] == [
        one["tokens"] for one in plain["captions"]
    ]
    likely = {tag["word"]: tag["probability"] for tag in plain["tags"]}
    assert {"man", "woman"} & set(likely)
    likely["person"] = max(likely.pop(word, 0.0) for word in ("man", "woman"))
    assert {tag["word"]: tag["probability"] for tag in neutral["tags"]} == likely


def test_tags_have_probabilities_and_kinds(tagging: httpx.Client) -> None:
    tags = answer(tagging, tags="true")["tags"]
    assert len(tags) > 2
    probabilities = [tag["probability"] for tag in tags]
    assert probabilities == sorted(probabilities, reverse=True)
    assert {tag["kind"] for tag in tags} <= {"noun", "verb", "other"}
    assert not {"a", "the", "in"} & {tag["word"] for tag in tags}


def test_alternatives_to_each_word(tagging: httpx.Client) -> None:
    (plain,) = answer(tagging, beam_size=1)["captions"]
    (caption,) = answer(tagging, beam_size=1, top_logprobs=3)["captions"]
    for token, same in zip(caption["tokens"], plain["tokens"], strict=True):
        others = token.pop("top_logprobs")
        assert token == same
        assert len(others) == 3
        assert all(set(other) == {"token", "logprob"} for other in others)
        assert [other["logprob"] for other in others] == sorted(
            (other["logprob"] for other in others), reverse=True
        )
    form = {"image": ("a.jpg", JPEG)}
    scored = tagging.post(
        "/score", files=form, data={"text": plain["text"], "top_logprobs": "2"}
    ).json()
    assert [len(token["top_logprobs"]) for token in scored["tokens"]] == [2] * len(scored["tokens"])
    for count in ("21", "-1", "x", "²"):
        refused = tagging.post("/score", files=form, data={"text": "a", "top_logprobs": count})
        assert refused.status_code == 422
        assert "0 to 20" in refused.json()["error"]["message"]


def test_a_trace_leads_to_the_captions(tagging: httpx.Client) -> None:
    body = answer(tagging, beam_size=3, num_captions=2, trace="true", max_length=6)
    names: list[list[str]] = [[]]
    found = {}
    for step in body["trace"]["steps"]:
        for ending in step["endings"]:
            if "caption" in ending:
                words = names[ending.get("parent", 0)]
                found[ending["caption"]] = (" ".join(words), ending["total"])
        assert len(step["candidates"]) <= 6
        names = [
            [*names[one.get("parent", 0)], one["token"]]
            for one in step["candidates"]
            if one["kept"]
        ]
    assert {place: text for place, (text, _) in found.items()} == {
        place: one["text"] for place, one in enumerate(body["captions"]) if one["finished"]
    }
    for place, (_, total) in found.items():
        assert math.isclose(total, body["captions"][place]["logprob"], abs_tol=1e-4)


def test_overlays_show_where_the_captioner_looked(tagging: httpx.Client) -> None:
    (plain,) = answer(tagging, attention="true")["captions"]
    for attention in ("false", "true"):
        options = {"overlay": "true", "attention": attention}
        (caption,) = answer(tagging, **options)["captions"]
        assert len(caption["tokens"]) == len(plain["tokens"])
        for token, same in zip(caption["tokens"], plain["tokens"], strict=True):
            png = base64.b64decode(token.pop("overlay"))
            with Image.open(io.BytesIO(png), formats=["PNG"]) as drawn:
                assert drawn.size == (224, 149)  # of 60 x 40
            assert token == (same if attention == "true" else _without(same, "attention"))
    best, other = answer(tagging, overlay="true", num_captions=2)["captions"]
    assert "overlay" in best["tokens"][0]
    assert "overlay" not in other["tokens"][0]


def _without(fields: dict, name: str) -> dict:
    return {key: value for key, value in fields.items() if key != name}


def _same(one: dict, other: dict) -> bool:
    return all(
        a["text"] == b["text"] and math.isclose(a["logprob"], b["logprob"], abs_tol=1e-4)
        for a, b in zip(one["captions"], other["captions"], strict=True)
    )


def test_several_pictures_get_one_result_each(tagging: httpx.Client) -> None:
    other = encoded(photo(30, 70))
    pictures = [JPEG, b"no picture", other, b""]
    alone = [raw(tagging, data).json() for data in pictures]
    form = tagging.post("/caption", files=[("image", ("a.jpg", data)) for data in pictures])
    in_base64 = [base64.b64encode(data).decode() for data in pictures]
    in_json = tagging.post("/caption", json={"images": [*in_base64, "%%%"]})
    for response, extra in ((form, 0), (in_json, 1)):
        assert response.status_code == 200
        body = response.json()
        assert set(body) == {"model", "model_version", "request_id", "results"}
        results = body["results"]
        assert len(results) == 4 + extra
        for place in (0, 2):
            assert set(results[place]) == {"captions", "image", "timing_ms"}
            assert results[place]["image"] == alone[place]["image"]
            assert _same(results[place], alone[place])
        for place in (1, 3):
            expected = alone[place]["error"]
            assert results[place] == {
                "error": {"code": expected["code"], "message": expected["message"]}
            }
    assert in_json.json()["results"][4]["error"]["code"] == "malformed_body"
    single = tagging.post("/caption", json={"images": in_base64[:1]}).json()
    assert _same(single["results"][0], alone[0])


def test_too_many_pictures_are_refused(tagging: httpx.Client) -> None:
    many = tagging.post("/caption", json={"images": ["AAAA"] * 17})
    assert many.status_code == 422
    assert "at most 16" in many.json()["error"]["message"]
    assert tagging.post("/caption", json={"images": []}).status_code == 422
    form = tagging.post("/caption", files=[("image", ("a.jpg", JPEG))] * 17)
    assert form.status_code == 400
    assert tagging.post("/caption", json={"images": ["AAAA"], "image": "AAAA"}).status_code == 422


def test_options_that_do_not_fit_are_refused(client: httpx.Client, tagging: httpx.Client) -> None:
    for service, options, message in (
        (client, {"tags": "true"}, "tags need a word detector"),
        (client, {"min_confidence": 0.5}, "needs a calibrated confidence"),
        (tagging, {"min_confidence": 0.5, "temperature": 1}, "drawn captions have no confidence"),
        (tagging, {"below": "hedge"}, "below needs min_confidence"),
        (tagging, {"trace": "true", "temperature": 1}, "leave out temperature"),
        (tagging, {"top_logprobs": 21}, "top_logprobs"),
        (tagging, {"style": "poem"}, "style"),
        (tagging, {"min_confidence": 1.5}, "min_confidence"),
    ):
        refused = raw(service, JPEG, **options)
        assert refused.status_code == 422, options
        assert message in refused.json()["error"]["message"]
    text = tagging.post("/score", json={"text": "a", "top_logprobs": 3})
    assert text.status_code == 422
    assert "needs an image" in text.json()["error"]["message"]


def test_requests_with_other_wishes_share_a_batch(tagging: httpx.Client) -> None:
    plain, full = (
        answer(tagging, **options)
        for options in ({}, {"tags": "true", "trace": "true", "top_logprobs": 1})
    )
    assert [one["text"] for one in full["captions"]] == [one["text"] for one in plain["captions"]]
