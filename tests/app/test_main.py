import re
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256
from urllib.parse import urljoin

import httpx
import jsonschema
import pytest
from openapi_spec_validator import validate

from app.http.compat.openai.completions import CompletionRequest
from app.http.compat.openai.requests import ChatRequest
from app.http.compat.openai.responses import ResponsesRequest
from app.http.schemas import activations, captions, scores, texts
from app.http.uploads import JsonUpload
from app.main import create_app
from model.captioning.wording import WordingConfig
from model.config import DecodingConfig
from tests.app.photos import encoded, photo
from tests.app.servers import in_thread
from tests.app.writers import events, save_writer
from tests.tiny import save_tiny_captioner


@pytest.fixture(scope="module")
def document(service) -> dict:
    return service.client.get("/openapi.json").json()


@pytest.fixture(scope="module")
def shakespeare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A service with several models, named as the shipped ones that the examples name."""
    weights = tmp_path_factory.mktemp("named")
    save_tiny_captioner(weights / "captioner")
    for name in ("bible", "shakespeare"):
        save_writer(weights / "text" / name)
    with in_thread(weights) as service:
        yield service.client


def resolved(document: dict, schema: dict) -> dict:
    """A schema with everything that it refers to."""
    return schema | {"components": document["components"]}


@pytest.mark.parametrize("page", ["/docs", "/redoc"])
def test_the_docs_load_nothing_from_elsewhere(client: httpx.Client, page: str) -> None:
    response = client.get(page)
    assert response.status_code == 200
    assert not re.findall(r"""(?:https?:)?//[\w.-]+\.\w+""", response.text)
    parts = re.findall(r"""(?:src|href)=["']([^"']+)""", response.text)
    assert len(parts) >= 2
    for part in [*parts, "/openapi.json"]:
        assert client.get(urljoin(page, part)).status_code == 200, part


@pytest.mark.parametrize("page", ["/docs", "/redoc"])
def test_only_the_inline_scripts_of_the_docs_may_run(client: httpx.Client, page: str) -> None:
    response = client.get(page)
    policy = response.headers["content-security-policy"]
    (allowed,) = re.findall(r"script-src ([^;]*);", policy)
    scripts = re.findall(r"<script>(.*?)</script>", response.text, re.DOTALL)
    hashes = [b64encode(sha256(script.encode()).digest()).decode() for script in scripts]
    assert allowed.split() == ["'self'", *(f"'sha256-{digest}'" for digest in hashes)]
    assert len(scripts) == (page == "/docs")
    assert not re.findall(r"\son\w+=", response.text)  # handlers in attributes


def test_the_openapi_document_is_valid(document: dict) -> None:
    validate(document)


def test_every_example_matches_its_schema(document: dict) -> None:
    examples = 0
    for name, schema in document["components"]["schemas"].items():
        for example in schema.get("examples", []):
            jsonschema.validate(example, resolved(document, schema))
            schema_class = getattr(captions, name, None) or getattr(texts, name)
            schema_class.model_validate(example, strict=True)
            examples += 1
    assert examples >= 1
    content = document["paths"]["/caption"]["post"]["requestBody"]["content"]
    field = content["application/json"]["schema"]["anyOf"][0]["properties"]["image"]
    for example in field["examples"]:
        JsonUpload.model_validate({"image": example})


def test_the_json_example_is_captioned(client: httpx.Client, document: dict) -> None:
    content = document["paths"]["/caption"]["post"]["requestBody"]["content"]
    one, several = content["application/json"]["schema"]["anyOf"]
    assert set(several["properties"]) == {"images"}
    (example,) = one["properties"]["image"]["examples"]
    assert client.post("/caption", json={"image": example}).status_code == 200


def test_the_bodies_and_parameters_of_a_caption_are_documented(document: dict) -> None:
    operation = document["paths"]["/caption"]["post"]
    content = operation["requestBody"]["content"]
    assert set(content) == {
        "multipart/form-data", "image/*", "video/*", "application/octet-stream",
        "application/json",
    }  # fmt: skip
    parameters = {parameter["name"]: parameter for parameter in operation["parameters"]}
    assert set(parameters) == {
        *DecodingConfig.__dataclass_fields__, *WordingConfig.__dataclass_fields__,
        "attention", "overlay", "image_gain", "top_logprobs", "tags", "trace", "frames",
    }  # fmt: skip
    assert all(parameter["description"] for parameter in parameters.values())


@pytest.mark.parametrize(
    ("path", "schema"),
    [
        ("/generate-text", texts.TextRequest),
        ("/score", scores.ScoreRequest),
        ("/activations", activations.ActivationsRequest),
        ("/v1/chat/completions", ChatRequest),
        ("/v1/responses", ResponsesRequest),
        ("/v1/completions", CompletionRequest),
    ],
)
def test_the_bodies_are_documented_and_their_examples_work(
    document: dict, shakespeare: httpx.Client, path: str, schema: type
) -> None:
    operation = document["paths"][path]["post"]
    described = operation["requestBody"]["content"]["application/json"]["schema"]
    assert set(described["properties"]) == set(schema.model_fields)
    response_schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    assert described["examples"]
    for example in described["examples"]:
        jsonschema.validate(example, described)
        response = shakespeare.post(path, json=example)
        assert response.status_code == 200, response.text
        jsonschema.validate(response.json(), resolved(document, response_schema))


def test_the_events_of_a_stream_are_documented(document: dict, writers: httpx.Client) -> None:
    content = document["paths"]["/generate-text"]["post"]["responses"]["200"]["content"]
    schema = resolved(document, content["text/event-stream"]["schema"])
    for chunk in events(writers, n=2, logprobs=1, max_tokens=500):
        jsonschema.validate(chunk, schema)


def test_the_errors_of_an_api_are_documented_with_the_same_schema(document: dict) -> None:
    schemas: dict[str, set[str]] = {}
    for path in document["paths"].values():
        for operation in path.values():
            (tag,) = operation["tags"]
            for status, response in operation["responses"].items():
                if status != "200":
                    schema = response["content"]["application/json"]["schema"]["$ref"]
                    schemas.setdefault(tag, set()).add(schema.rpartition("/")[2])
    for tag in ("captions", "texts", "models"):
        assert schemas[tag] == {"ErrorResponse"}
    assert all(len(names) == 1 for names in schemas.values()), schemas
    assert set(document["paths"]["/caption"]["post"]["responses"]) == {
        "200", "400", "404", "408", "413", "415", "422", "429", "503",
    }  # fmt: skip


@pytest.mark.parametrize("attention", [False, True])
def test_real_responses_match_the_document(
    client: httpx.Client, writers: httpx.Client, document: dict, attention: bool
) -> None:
    def schema(path: str, method: str, status: str) -> dict:
        response = document["paths"][path][method]["responses"][status]
        return resolved(document, response["content"]["application/json"]["schema"])

    file = {"image": ("photo.png", encoded(photo()))}
    response = client.post("/caption", files=file, params={"attention": attention})
    jsonschema.validate(response.json(), schema("/caption", "post", "200"))
    jsonschema.validate(client.get("/models").json(), schema("/models", "get", "200"))
    jsonschema.validate(client.get("/models/tiny").json(), schema("/models/{name}", "get", "200"))
    jsonschema.validate(writers.get("/models/verse").json(), schema("/models/{name}", "get", "200"))
    response = client.get("/models/none")
    jsonschema.validate(response.json(), schema("/models/{name}", "get", "404"))


def test_invalid_settings_end_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNROLLED_PORT", "eighty")
    with pytest.raises(SystemExit, match="UNROLLED_PORT=eighty"):
        create_app()
