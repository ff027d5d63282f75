import base64
import math

import httpx
import numpy as np
import pytest
from PIL import Image

from model.pictures.formats import FORMATS
from model.vocabulary import END
from tests.app import photos as pictures
from tests.app.answers import JPEG, captions, raw
from tests.app.photos import encoded, photo

# `app.pictures.decode` silences Pillow's warnings, but pytest resets the filters.
pytestmark = pytest.mark.filterwarnings(r"ignore::UserWarning:PIL\.")


def test_the_response_is_complete_and_consistent(client: httpx.Client) -> None:
    response = raw(client, JPEG, num_captions=3, max_length=5)
    body = response.json()
    assert set(body) == {
        "model", "model_version", "request_id", "captions", "image", "timing_ms",
    }  # fmt: skip
    assert (body["model"], body["model_version"]) == ("tiny", "0")
    assert body["request_id"] == response.headers["x-request-id"]
    assert body["image"] == {"width": 60, "height": 40, "format": "JPEG"}
    timing = body["timing_ms"]
    stages = [timing[stage] for stage in ("decode", "queue", "encode", "search")]
    assert all(milliseconds >= 0 for milliseconds in stages)
    assert timing["total"] == pytest.approx(sum(stages), abs=0.1)
    assert len(body["captions"]) == 3
    assert [c["logprob"] for c in body["captions"]] == sorted(
        (c["logprob"] for c in body["captions"]), reverse=True
    )
    for caption in body["captions"]:
        assert set(caption) == {"text", "logprob", "mean_logprob", "finished", "tokens"}
        tokens = caption["tokens"]
        assert all(set(token) == {"token", "logprob"} for token in tokens)
        assert caption["logprob"] == pytest.approx(sum(t["logprob"] for t in tokens))
        assert caption["mean_logprob"] == pytest.approx(caption["logprob"] / len(tokens))
        assert caption["finished"] is (tokens[-1]["token"] == END)
        words = [token["token"] for token in tokens]
        assert caption["text"] == " ".join(words).removesuffix(f" {END}")


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_picture_of_every_format_is_captioned(client: httpx.Client, file_format: str) -> None:
    response = raw(client, encoded(photo(), file_format))
    assert response.status_code == 200
    assert response.json()["image"] == {"width": 60, "height": 40, "format": file_format}


def test_all_forms_of_a_request_give_the_same_captions(client: httpx.Client) -> None:
    in_base64 = base64.b64encode(JPEG).decode()
    responses = [
        client.post("/caption", files={"image": ("photo.jpg", JPEG, "image/jpeg")}),
        raw(client, JPEG),
        raw(client, JPEG, "IMAGE/JPEG; charset=binary"),
        raw(client, JPEG, "image/png"),
        raw(client, JPEG, "application/octet-stream"),
        client.post("/caption", json={"image": in_base64}),
        client.post("/caption", json={"image": f"data:image/jpeg;base64,{in_base64}"}),
        client.post("/caption", content=iter([JPEG[:99], JPEG[99:]]), headers={
            "Content-Type": "image/jpeg",
        }),
    ]  # fmt: skip
    for response in responses:
        assert captions(response) == captions(responses[0])


def test_parameters_reach_the_search(client: httpx.Client) -> None:
    assert len(captions(raw(client, JPEG))) == 1
    assert len(captions(raw(client, JPEG, beam_size=10, num_captions=10))) == 10
    (short,) = captions(raw(client, JPEG, max_length=1, beam_size=1))
    assert len(short["tokens"]) == 1
    (free,) = captions(raw(client, JPEG, length_penalty=0))
    (long,) = captions(raw(client, JPEG, length_penalty=2))
    assert len(long["tokens"]) > len(free["tokens"])
    assert long["logprob"] < free["logprob"]


def test_attention_is_a_distribution_over_the_grid(client: httpx.Client) -> None:
    (caption,) = captions(raw(client, JPEG, attention="true"))
    for token in caption["tokens"]:
        grid = np.array(token["attention"])
        assert grid.shape == (2, 2)
        assert grid.sum() == pytest.approx(1, abs=1e-4)


def test_confidence_comes_from_the_calibration(finished: httpx.Client) -> None:
    results = captions(raw(finished, JPEG, num_captions=3))
    for caption in results:
        calibration = finished.get("/models/tiny").json()["calibration"]
        mean_logprob, tokens, log_beam_size = calibration["coefficients"]
        score = calibration["intercept"] + mean_logprob * caption["mean_logprob"]
        score += tokens * len(caption["tokens"]) + log_beam_size * math.log(3)
        assert caption["confidence"] == pytest.approx(1 / (1 + math.exp(-score)))
    assert len({caption["confidence"] for caption in results}) > 1


def test_reranking_changes_the_order_and_no_number(finished: httpx.Client) -> None:
    options = {"beam_size": 8, "num_captions": 8}
    reranked = captions(raw(finished, JPEG, **options))
    likely = captions(raw(finished, JPEG, consensus="false", **options))
    assert [caption["text"] for caption in reranked] != [caption["text"] for caption in likely]
    assert sorted(caption["text"] for caption in reranked) == sorted(
        caption["text"] for caption in likely
    )
    by_text = {caption["text"]: caption for caption in likely}
    for caption in reranked:
        assert caption["agreement"] == pytest.approx(by_text[caption["text"]]["agreement"])
        assert caption["logprob"] == pytest.approx(by_text[caption["text"]]["logprob"])
    config = finished.get("/models/tiny").json()["consensus"]
    scores = [
        caption["agreement"] + config["likelihood"] * caption["mean_logprob"]
        for caption in reranked
    ]
    assert scores == sorted(scores, reverse=True)


def test_image_gain_is_returned_on_request(finished: httpx.Client) -> None:
    (plain,) = captions(raw(finished, JPEG))
    (with_gain,) = captions(raw(finished, JPEG, image_gain="true", attention="true"))
    for token, bare in zip(with_gain["tokens"], plain["tokens"], strict=True):
        assert set(bare) == {"token", "logprob"}
        assert set(token) == {"token", "logprob", "attention", "image_gain"}
        assert token["logprob"] == pytest.approx(bare["logprob"])
    assert any(abs(token["image_gain"]) > 1e-3 for token in with_gain["tokens"])


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (encoded(Image.new("RGB", (1, 1))), (1, 1)),
        (encoded(Image.fromarray(np.full((5, 9), 40_000, np.uint16))), (9, 5)),
        (encoded(Image.new("CMYK", (9, 5)), "JPEG"), (9, 5)),
        (pictures.palette_with_transparency(), (20, 10)),
        (pictures.animation(), (20, 10)),
        (pictures.malformed_exif(), (60, 40)),
    ],
    ids=["1x1", "16 bit", "CMYK", "transparency", "animation", "malformed EXIF"],
)
def test_unusual_pictures_are_captioned(
    client: httpx.Client, data: bytes, size: tuple[int, int]
) -> None:
    response = raw(client, data)
    (caption,) = captions(response)
    assert math.isfinite(caption["logprob"])
    assert (response.json()["image"]["width"], response.json()["image"]["height"]) == size


def test_a_picture_with_an_exif_orientation_is_captioned_upright(client: httpx.Client) -> None:
    stored = pictures.sideways("PNG")
    response = raw(client, stored, "image/png")
    assert response.json()["image"] == {"width": 60, "height": 40, "format": "PNG"}
    assert captions(response) == captions(raw(client, encoded(photo()), "image/png"))
    on_its_side = encoded(photo().transpose(Image.Transpose.ROTATE_90))
    assert captions(response) != captions(raw(client, on_its_side, "image/png"))
