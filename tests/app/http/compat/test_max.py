import math

import httpx
import jsonschema
import pytest

from tests.app.photos import encoded, photo
from tests.app.servers import Service

FILE = {"image": ("photo.jpg", encoded(photo(), "JPEG"), "image/jpeg")}


def test_the_published_test_passes_but_for_its_sentence(service: Service) -> None:
    """MAX's own test posts a JPEG as a form with libcurl, and compares status and sentence."""
    headers = {"Accept": "application/json"}
    response = httpx.post(
        f"http://localhost:{service.port}/model/predict", files=FILE, headers=headers
    )
    assert response.status_code == 200
    answer = response.json()
    assert answer["status"] == "ok"
    sentence = service.client.post("/caption", files=FILE).json()["captions"][0]["text"]
    assert answer["predictions"][0]["caption"] == sentence


def test_three_captions_with_their_probabilities(client: httpx.Client) -> None:
    predictions = client.post("/model/predict", files=FILE).json()["predictions"]
    expected = client.post("/caption", files=FILE, params={"num_captions": 3}).json()["captions"]
    assert len(expected) == 3
    assert predictions == [
        {
            "index": str(i),
            "caption": caption["text"],
            "probability": pytest.approx(math.exp(caption["logprob"])),
        }
        for i, caption in enumerate(expected)
    ]


def test_metadata(client: httpx.Client) -> None:
    answer = client.get("/model/metadata").json()
    assert set(answer) == {"id", "name", "description", "type", "license", "source"}
    assert answer["id"] == "tiny"
    assert answer["type"] == "Image-to-Text Translation"


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ({"files": {"image": ("a.jpg", b"not a picture")}}, 415),
        ({"files": {"picture": ("a.jpg", FILE["image"][1])}}, 400),
        ({"content": FILE["image"][1], "headers": {"Content-Type": "image/jpeg"}}, 415),
        ({"files": FILE, "params": {"threshold": 1}}, 422),
        ({}, 415),
    ],
)
def test_errors_have_the_shape_of_max(
    client: httpx.Client, request_: dict[str, object], status: int
) -> None:
    response = client.post("/model/predict", **request_)
    assert response.status_code == status
    assert set(response.json()) == {"status", "message"}
    assert response.json()["status"] == "error"


def test_it_is_documented(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    operation = document["paths"]["/model/predict"]["post"]
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    answer = client.post("/model/predict", files=FILE).json()
    jsonschema.validate(answer, schema | {"components": document["components"]})
    error = operation["responses"]["400"]["content"]["application/json"]["schema"]
    answer = client.post("/model/predict", files={"image": b""}).json()
    jsonschema.validate(answer, error | {"components": document["components"]})
