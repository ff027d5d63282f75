import asyncio
import base64
import http.server
import math
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
from azure.ai.vision.imageanalysis import ImageAnalysisClient, models
from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import HttpResponseError

from tests.app.photos import encoded, photo
from tests.app.servers import Service, in_thread

DATA = encoded(photo(), "JPEG")
FEATURES = models.VisualFeatures

ANALYZE_4, DESCRIBE = "/computervision/imageanalysis:analyze", "/vision/v3.2/describe"
ANALYZE_3 = "/vision/v3.2/analyze"

OCTETS = {"content": DATA, "headers": {"Content-Type": "application/octet-stream"}}


@pytest.fixture
def real(named: Service) -> Iterator[ImageAnalysisClient]:
    """Azure's own client for 4.0."""
    client = ImageAnalysisClient(
        f"http://127.0.0.1:{named.port}",
        AzureKeyCredential("none"),
        authentication_policy=_without_https(),
        retry_total=0,
    )
    with client:
        yield client


def _without_https() -> Any:
    """A policy that sends a key without https, which Azure's own refuses."""
    from azure.core.pipeline.policies import AzureKeyCredentialPolicy

    class Policy(AzureKeyCredentialPolicy):
        def on_request(self, request: Any) -> None:
            request.http_request.headers["Ocp-Apim-Subscription-Key"] = "none"

    return Policy(AzureKeyCredential("none"), "Ocp-Apim-Subscription-Key")


@pytest.fixture
def own(compat: httpx.Client) -> dict[str, Any]:
    """The answer of our own API."""
    files = {"image": ("a.jpg", DATA)}
    return compat.post("/caption", files=files, params={"tags": True, "num_captions": 3}).json()


def confidence(caption: dict[str, Any]) -> float:
    return caption.get("confidence", math.exp(caption["mean_logprob"]))


def test_the_real_client(real: ImageAnalysisClient, own: dict[str, Any]) -> None:
    features = [FEATURES.CAPTION, FEATURES.TAGS, FEATURES.DENSE_CAPTIONS]
    result = real.analyze(DATA, visual_features=features)
    best = own["captions"][0]
    assert result.caption.text == best["text"]
    assert result.caption.confidence == pytest.approx(confidence(best))
    tags = [(tag.name, tag.confidence) for tag in result.tags.list]
    assert tags
    assert tags == [(tag["word"], pytest.approx(tag["probability"])) for tag in own["tags"]]
    (dense,) = result.dense_captions.list
    assert (dense.text, dense.bounding_box.width, dense.bounding_box.height) == (
        best["text"], 60, 40,
    )  # fmt: skip
    assert (result.metadata.width, result.metadata.height) == (60, 40)
    assert result.model_version == "0"
    assert result.objects is None


def test_the_real_client_asks_for_neutral_words(real: ImageAnalysisClient) -> None:
    plain = real.analyze(DATA, visual_features=[FEATURES.CAPTION]).caption.text
    neutral = real.analyze(
        DATA, visual_features=[FEATURES.CAPTION], gender_neutral_caption=True, language="en"
    ).caption.text
    assert "woman" in plain.split()
    assert not {"woman", "man"} & set(neutral.split())
    assert "person" in neutral.split()


def test_the_real_client_is_told_what_is_wrong(real: ImageAnalysisClient) -> None:
    with pytest.raises(HttpResponseError, match="InvalidImageFormat") as raised:
        real.analyze(b"no picture", visual_features=[FEATURES.CAPTION])
    assert raised.value.status_code == 415
    with pytest.raises(HttpResponseError, match="UNROLLED_FETCH_HOSTS"):
        real.analyze_from_url("https://example.org/a.jpg", visual_features=[FEATURES.TAGS])


@pytest.fixture
def files(tmp_path: Path) -> Iterator[int]:
    """A server of one picture; its port."""
    (tmp_path / "a.jpg").write_bytes(DATA)

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(tmp_path))

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_a_picture_by_url(named_weights: Path, files: int, own: dict[str, Any]) -> None:
    hosts = (f"localhost:{files}",)
    with in_thread(named_weights, fetch_private_hosts=hosts) as service:
        body = {"url": f"http://localhost:{files}/a.jpg"}
        answer = service.client.post(DESCRIBE, json=body).json()
        assert answer["description"]["captions"][0]["text"] == own["captions"][0]["text"]
        for url, status in ((f"http://localhost:{files}/none.jpg", 400), ("http://a.b/", 403)):
            response = service.client.post(DESCRIBE, json={"url": url})
            assert response.status_code == status
            assert response.json()["error"]["innererror"]["code"] == "InvalidImageUrl"


def test_describe(compat: httpx.Client, own: dict[str, Any]) -> None:
    response = compat.post(DESCRIBE, params={"maxCandidates": 3, "language": "en"}, **OCTETS)
    answer = response.json()
    assert answer["requestId"] == response.headers["x-request-id"]
    assert answer["metadata"] == {"width": 60, "height": 40, "format": "Jpeg"}
    assert answer["description"]["tags"] == [tag["word"] for tag in own["tags"]]
    assert answer["description"]["captions"] == [
        {"text": caption["text"], "confidence": pytest.approx(confidence(caption))}
        for caption in own["captions"]
    ]
    single = compat.post(DESCRIBE, **OCTETS).json()
    assert len(single["description"]["captions"]) == 1


@pytest.mark.parametrize(
    ("features", "fields"),
    [
        ("Description,Tags", {"description", "tags"}),
        ("tags", {"tags"}),
        ("Categories,Description,Faces", {"description"}),
    ],
)
def test_analyze_3(compat: httpx.Client, features: str, fields: set[str]) -> None:
    answer = compat.post(ANALYZE_3, params={"visualFeatures": features}, **OCTETS).json()
    assert set(answer) == fields | {"requestId", "metadata", "modelVersion"}


def test_features_that_are_not_here_are_left_out(compat: httpx.Client) -> None:
    params = {"features": "caption,read,objects", "api-version": "2023-10-01"}
    answer = compat.post(ANALYZE_4, params=params, **OCTETS).json()
    assert set(answer) == {"captionResult", "modelVersion", "metadata"}


@pytest.mark.parametrize(
    ("path", "request_", "status", "code", "message"),
    [
        (ANALYZE_4, OCTETS, 400, "BadArgument", "features: is required"),
        (ANALYZE_4, OCTETS | {"params": {"features": "read,people"}}, 400, "BadArgument", "none"),
        (ANALYZE_4, OCTETS | {"params": {"features": "smell"}}, 400, "BadArgument", "'smell'"),
        (ANALYZE_3, OCTETS | {"params": {"visualFeatures": "Color"}}, 400, "BadArgument", "none"),
        (DESCRIBE, OCTETS | {"params": {"language": "es"}}, 400, "BadArgument", "language"),
        (DESCRIBE, OCTETS | {"params": {"maxCandidates": 99}}, 400, "BadArgument", "Candidates"),
        (DESCRIBE, OCTETS | {"content": b""}, 400, "InvalidImageFormat", "no picture"),
        (DESCRIBE, {"json": {"url": "file:///etc/passwd"}}, 403, "InvalidImageUrl", "base64"),
        (DESCRIBE, {"json": {"image": "?"}}, 400, "BadArgument", "url: is required"),
        ("/vision/v3.2/ocr", OCTETS, 404, "NotFound", "there is no POST"),
    ],
)
def test_errors_have_the_shape_of_azure(
    compat: httpx.Client,
    path: str,
    request_: dict[str, Any],
    status: int,
    code: str,
    message: str,
) -> None:
    response = compat.post(path, **request_)
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert set(error) == {"code", "message", "innererror"}
    assert error["innererror"]["code"] == code
    assert message in error["message"]


@pytest.mark.parametrize(
    ("path", "params"),
    [
        (ANALYZE_4, {"features": "caption,denseCaptions,tags"}),
        (DESCRIBE, {}),
        (ANALYZE_3, {"visualFeatures": "Description,Tags"}),
    ],
)
def test_it_is_documented_and_the_example_works(
    compat: httpx.Client, document: dict[str, Any], path: str, params: dict[str, str]
) -> None:
    operation = document["paths"][path]["post"]
    assert operation["tags"] == ["Azure Image Analysis"]
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    body = operation["requestBody"]["content"]["application/json"]["schema"]
    for example in body["examples"]:
        jsonschema.validate(example, body)
        response = compat.post(path, json=example, params=params)
        assert response.status_code == 200, response.text
        jsonschema.validate(response.json(), schema | {"components": document["components"]})
    error = operation["responses"]["400"]["content"]["application/json"]["schema"]
    answer = compat.post(path, params=params).json()
    jsonschema.validate(answer, error | {"components": document["components"]})


def test_the_asynchronous_client(named: Service, own: dict[str, Any]) -> None:
    from azure.ai.vision.imageanalysis import aio

    async def run() -> str:
        endpoint = f"http://127.0.0.1:{named.port}"
        async with aio.ImageAnalysisClient(
            endpoint, AzureKeyCredential("none"), authentication_policy=_without_https()
        ) as client:
            result = await client.analyze(DATA, visual_features=[FEATURES.CAPTION])
        return result.caption.text

    assert asyncio.run(run()) == own["captions"][0]["text"]


def test_a_data_uri(compat: httpx.Client, own: dict[str, Any]) -> None:
    uri = "data:image/jpeg;base64," + base64.b64encode(DATA).decode()
    answer = compat.post(DESCRIBE, json={"url": uri}).json()
    assert answer["description"]["captions"][0]["text"] == own["captions"][0]["text"]


def test_a_captioner_without_tags_does_not_say_that_there_are_none(client: httpx.Client) -> None:
    answer = client.post(ANALYZE_4, params={"features": "caption,tags"}, **OCTETS).json()
    assert set(answer) == {"captionResult", "modelVersion", "metadata"}
    response = client.post(ANALYZE_4, params={"features": "tags"}, **OCTETS)
    assert response.status_code == 400
    assert "ask for caption" in response.json()["error"]["message"]
    answer = client.post(ANALYZE_3, params={"visualFeatures": "Description,Tags"}, **OCTETS).json()
    assert "tags" not in answer
