import asyncio
import base64
import json
from collections.abc import Iterator
from typing import Any

import httpx
import jsonschema
import ollama
import pytest

from tests.app.photos import encoded, photo
from tests.app.servers import Service

DATA = encoded(photo(), "JPEG")
BASE64 = base64.b64encode(DATA).decode()
OTHER = base64.b64encode(encoded(photo(30, 70))).decode()

ASK = {"model": "captioner", "prompt": "What is this?", "images": [BASE64], "stream": False}


@pytest.fixture
def real(named: Service) -> Iterator[ollama.Client]:
    """Ollama's own client, at a service with the captioner `captioner` and a language model."""
    client = ollama.Client(f"http://127.0.0.1:{named.port}")
    yield client
    client.close()


@pytest.fixture
def expected(compat: httpx.Client) -> dict[str, Any]:
    """The caption of the picture by our own API."""
    return compat.post("/caption", json={"image": BASE64}).json()["captions"][0]


@pytest.fixture
def tags(compat: httpx.Client) -> dict[str, float]:
    """The tags of the picture by our own API."""
    answer = compat.post("/caption", json={"image": BASE64}, params={"tags": True}).json()
    return {tag["word"]: tag["probability"] for tag in answer["tags"]}


def lines(client: httpx.Client, path: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    with client.stream("POST", path, json=body) as response:
        assert response.status_code == 200, response.read()
        assert response.headers["content-type"] == "application/x-ndjson"
        return [json.loads(line) for line in response.iter_lines()]


def test_the_real_client_generates_and_chats(real: ollama.Client, expected: dict) -> None:
    generated = real.generate("captioner", "What is this?", images=[DATA])
    assert generated.response == expected["text"]
    assert (generated.done, generated.done_reason, generated.model) == (True, "stop", "captioner")
    message = {"role": "user", "content": "What is this?", "images": [DATA]}
    chatted = real.chat("captioner:latest", [message])
    assert (chatted.message.role, chatted.message.content) == ("assistant", expected["text"])
    assert chatted["message"]["content"] == expected["text"]
    assert not chatted.message.images


def test_the_real_client_streams(real: ollama.Client, expected: dict) -> None:
    *parts, last = real.generate("captioner", images=[DATA], stream=True)
    assert "".join(part.response for part in parts) == expected["text"]
    assert not any(part.done for part in parts)
    assert (last.response, last.done) == ("", True)
    message = {"role": "user", "content": "?", "images": [DATA]}
    *parts, last = real.chat("captioner", [message], stream=True)
    assert "".join(part.message.content for part in parts) == expected["text"]
    assert last.done


def test_the_real_client_works_asynchronously(named: Service, expected: dict) -> None:
    async def run() -> None:
        client = ollama.AsyncClient(f"http://127.0.0.1:{named.port}")
        answer = await client.generate("captioner", images=[DATA])
        assert answer.response == expected["text"]
        text = ""
        async for part in await client.generate(
            "shakespeare", "ROMEO", options={"seed": 1, "num_predict": 9}, stream=True
        ):
            text += part.response
        assert len(text) == 9
        assert (await client.list()).models
        await client._client.aclose()

    asyncio.run(run())


def test_models(real: ollama.Client) -> None:
    models = {model.model: model for model in real.list().models}
    assert list(models) == ["captioner:latest", "shakespeare:latest"]
    assert models["captioner:latest"].size > 0
    assert models["captioner:latest"].details.family == "captioner"
    assert models["shakespeare:latest"].details.family == "lstm"
    assert all(len(model.digest) == 64 for model in models.values())
    shown = real.show("captioner")
    assert shown.capabilities == ["completion", "vision"]
    assert shown.modelinfo["captioner.context_length"] == 20
    assert real.show("shakespeare:latest").capabilities == ["completion"]
    assert "captioner:latest" in [model.model for model in real.ps().models]
    with pytest.raises(ollama.ResponseError, match="not found") as raised:
        real.show("llava")
    assert raised.value.status_code == 404


def test_version_and_home(compat: httpx.Client) -> None:
    version = compat.get("/api/version").json()["version"]
    assert [int(part) for part in version.split(".")] >= [0, 5, 0]  # schemas
    assert compat.head("/").status_code in (200, 307)
    assert compat.get("/", follow_redirects=True).status_code == 200


def test_older_clients_show_by_name(compat: httpx.Client) -> None:
    assert compat.post("/api/show", json={"name": "captioner"}).status_code == 200
    assert compat.post("/api/show", json={}).status_code == 400


@pytest.mark.parametrize("model", ["llava", "llava:7b", "library/moondream:latest"])
def test_vision_models_that_are_not_here_are_the_captioner(
    real: ollama.Client, expected: dict, model: str
) -> None:
    answer = real.generate(model, "Describe.", images=[DATA])
    assert (answer.response, answer.model) == (expected["text"], model)


def test_several_pictures_have_a_line_each(compat: httpx.Client) -> None:
    body = ASK | {"images": [BASE64, OTHER]}
    whole = compat.post("/api/generate", json=body).json()
    single = [
        compat.post("/caption", json={"image": image}).json()["captions"][0]
        for image in (BASE64, OTHER)
    ]
    assert whole["response"] == "\n".join(caption["text"] for caption in single)
    assert whole["prompt_eval_count"] == 2
    assert whole["eval_count"] == sum(len(caption["tokens"]) for caption in single)
    first, second, last = lines(compat, "/api/generate", body | {"stream": None})
    assert (first["response"], second["response"]) == (single[0]["text"], "\n" + single[1]["text"])
    assert (last["response"], last["done"], last["prompt_eval_count"]) == ("", True, 2)


def test_totals_are_whole_nanoseconds(compat: httpx.Client) -> None:
    answer = compat.post("/api/generate", json=ASK).json()
    durations = ("total_duration", "prompt_eval_duration", "eval_duration")
    assert all(isinstance(answer[name], int) and answer[name] > 0 for name in durations)
    assert answer["total_duration"] >= answer["eval_duration"]
    assert answer["total_duration"] < 60e9
    assert answer["load_duration"] == 0


def test_the_latest_pictures_of_a_conversation_count(compat: httpx.Client, expected: dict) -> None:
    def ask(*messages: dict[str, Any]) -> str:
        body = {"model": "captioner", "messages": messages, "stream": False}
        return compat.post("/api/chat", json=body).json()["message"]["content"]

    def user(text: str, *images: str) -> dict[str, Any]:
        return {"role": "user", "content": text, "images": list(images) or None}

    reply = {"role": "assistant", "content": "a cat"}
    text = expected["text"]
    assert ask({"role": "system", "content": "Be brief."}, user("?", BASE64)) == text
    assert ask(user("Image 1:", BASE64), user("What is it?")) == text
    assert ask(user("", OTHER), reply, user("And this?", BASE64)) == text
    assert ask(user("", BASE64), reply, user("What colour is it?")) == text
    assert ask(user("1:", BASE64), user("2:", OTHER), user("?")).startswith(text + "\n")


def test_json_follows_a_schema(real: ollama.Client, expected: dict, tags: dict[str, float]) -> None:
    schema = {
        "type": "object",
        "properties": {
            "title": {"type": "string"},
            "description": {"type": "string"},
            "people": {"type": "integer"},
            "tags": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["description", "people", "tags"],
    }
    answer = json.loads(real.generate("captioner", "JSON!", images=[DATA], format=schema).response)
    jsonschema.validate(answer, schema)
    assert tags
    assert answer == {"description": expected["text"], "people": 0, "tags": list(tags)}


def test_json_without_a_schema_follows_an_example_in_the_prompt(
    real: ollama.Client, expected: dict, tags: dict[str, float]
) -> None:
    plain = real.generate("captioner", "Answer in JSON.", images=[DATA], format="json").response
    assert json.loads(plain) == {"description": expected["text"], "tags": list(tags)}
    prompt = 'Answer as JSON: {"caption": "...", "people": 0}'
    shown = real.generate("captioner", prompt, images=[DATA], format="json").response
    assert json.loads(shown) == {"caption": expected["text"], "people": 0}
    message = {"role": "user", "content": "?", "images": [DATA]}
    system = {"role": "system", "content": prompt}
    shown = real.chat("captioner", [system, message], format="json").message.content
    assert json.loads(shown) == {"caption": expected["text"], "people": 0}


def test_log_probabilities(real: ollama.Client, expected: dict) -> None:
    answer = real.generate("captioner", images=[DATA], logprobs=True, top_logprobs=2)
    assert "".join(entry.token for entry in answer.logprobs) == expected["text"]
    tokens = expected["tokens"][: len(answer.logprobs)]
    assert [e.logprob for e in answer.logprobs] == [pytest.approx(t["logprob"]) for t in tokens]
    assert all(len(entry.top_logprobs) == 2 for entry in answer.logprobs)
    assert real.generate("captioner", images=[DATA]).logprobs is None
    text = real.generate(
        "shakespeare", "ROMEO", logprobs=True, top_logprobs=20, options={"seed": 1}
    )
    assert "".join(entry.token for entry in text.logprobs) == text.response
    assert len(text.logprobs) == text.eval_count


@pytest.mark.parametrize("temperature", [0, 0.2, 0.9])
def test_a_low_temperature_finds_the_likeliest_caption(
    real: ollama.Client, expected: dict, temperature: float
) -> None:
    options = {"temperature": temperature, "top_k": 40, "top_p": 0.9, "num_ctx": 2048, "seed": 3}
    assert real.generate("captioner", images=[DATA], options=options).response == expected["text"]


def test_a_high_temperature_draws_captions(real: ollama.Client) -> None:
    def draw(seed: int) -> str:
        options = {"temperature": 1.5, "seed": seed, "top_k": 0, "top_p": 1}
        return real.generate("captioner", images=[DATA], options=options).response

    assert draw(1) == draw(1)
    assert len({draw(seed) for seed in range(5)}) > 1


def test_num_predict(real: ollama.Client, expected: dict) -> None:
    cut = real.generate("captioner", images=[DATA], options={"num_predict": 1})
    assert (len(cut.response.split()), cut.done_reason) == (1, "length")
    for many in (-1, 4096):
        whole = real.generate("captioner", images=[DATA], options={"num_predict": many})
        assert whole.response == expected["text"]
    assert real.generate("shakespeare", "T", options={"num_predict": 7}).eval_count == 7


def test_a_language_model_writes(real: ollama.Client, compat: httpx.Client) -> None:
    options = {"seed": 5, "temperature": 0.7, "top_k": 9, "top_p": 0.8, "num_predict": 30}
    answer = real.generate("shakespeare", "ROMEO", options=options | {"stop": ["zzzz"]})
    own = {"seed": 5, "temperature": 0.7, "top_k": 9, "top_p": 0.8, "max_tokens": 30}
    body = {"model": "shakespeare", "prompt": "ROMEO"} | own
    expected = compat.post("/generate-text", json=body).json()
    assert answer.response == expected["choices"][0]["text"]
    assert answer.prompt_eval_count == expected["usage"]["prompt_tokens"]
    assert (answer.eval_count, answer.done_reason) == (30, "length")
    chatted = real.chat("shakespeare", [{"role": "user", "content": "ROMEO"}], options=options)
    assert chatted.message.content == answer.response


def test_a_stop_text_ends_a_text(real: ollama.Client) -> None:
    options = {"seed": 5, "num_predict": 300}
    whole = real.generate("shakespeare", "ROMEO", options=options).response
    stop = whole[10:12]
    answer = real.generate("shakespeare", "ROMEO", options=options | {"stop": stop})
    assert answer.response == whole[: whole.index(stop)]
    assert answer.done_reason == "stop"


@pytest.mark.parametrize("model", ["captioner", "shakespeare"])
@pytest.mark.parametrize(("keep_alive", "reason"), [("5m", "load"), (-1, "load"), (0, "unload")])
def test_an_empty_prompt_loads_a_model(
    real: ollama.Client, model: str, keep_alive: Any, reason: str
) -> None:
    if reason == "unload":  # which only says so: the cache decides what leaves the memory
        real.generate(model)
    answer = real.generate(model, keep_alive=keep_alive)
    assert (answer.response, answer.done, answer.done_reason) == ("", True, reason)
    chatted = real.chat(model, [], keep_alive=keep_alive)
    assert (chatted.message.content, chatted.done_reason) == ("", reason)
    assert model in [loaded.name.removesuffix(":latest") for loaded in real.ps().models]


def test_any_content_type_will_do(compat: httpx.Client, expected: dict) -> None:
    """As `curl -d` sends it."""
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    response = compat.post("/api/generate", content=json.dumps(ASK), headers=headers)
    assert response.json()["response"] == expected["text"]


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("/api/generate", {}, 400, "model: is required"),
        ("/api/generate", {"model": "llava", "prompt": "Hello"}, 404, "'llava' not found"),
        ("/api/generate", {"model": "captioner", "prompt": "Hello"}, 400, "describes pictures"),
        ("/api/generate", ASK | {"model": "shakespeare"}, 400, "sees no pictures"),
        ("/api/generate", ASK | {"images": [""]}, 400, "is empty"),
        ("/api/generate", ASK | {"images": ["?"]}, 400, "base64"),
        ("/api/generate", ASK | {"images": ["aGVsbG8="]}, 400, "image"),
        ("/api/generate", ASK | {"images": [BASE64] * 33}, 400, "at most 32"),
        ("/api/generate", ASK | {"images": ["aGVsbG8="], "stream": True}, 400, "image"),
        ("/api/generate", ASK | {"options": {"temperature": -1}}, 400, "temperature"),
        ("/api/generate", ASK | {"format": "xml"}, 400, "format"),
        ("/api/generate", ASK | {"format": {"$ref": "#/none"}}, 400, "format: the schema"),
        (
            "/api/generate",
            {"model": "shakespeare", "prompt": "T", "format": "json"},
            400,
            "no JSON",
        ),
        ("/api/generate", {"model": "shakespeare", "prompt": "T" * 5_001}, 413, "at most 5,000"),
        ("/api/chat", {"model": "captioner", "messages": 5}, 400, "messages"),
        ("/api/show", {"model": "none"}, 404, "not found"),
        ("/api/pull", {"model": "llava"}, 404, "there is no POST /api/pull"),
        ("/api/embed", {"model": "captioner", "input": "a"}, 404, "there is no POST /api/embed"),
    ],
)
def test_errors_have_the_shape_of_ollama(
    compat: httpx.Client, path: str, body: dict[str, Any], status: int, message: str
) -> None:
    response = compat.post(path, json=body)
    assert response.status_code == status, response.text
    assert set(response.json()) == {"error"}
    assert message in response.json()["error"]


def test_a_body_that_is_no_json(compat: httpx.Client) -> None:
    for content, message in (("", "no body"), ("model=tiny", "not JSON")):
        response = compat.post("/api/generate", content=content)
        assert response.status_code == 400
        assert message in response.json()["error"]


def test_everything_is_documented_and_the_examples_work(
    compat: httpx.Client, document: dict[str, Any]
) -> None:
    paths = {path: item for path, item in document["paths"].items() if path.startswith("/api/")}
    assert set(paths) == {
        "/api/version", "/api/tags", "/api/ps", "/api/show", "/api/generate", "/api/chat",
    }  # fmt: skip
    for path, item in paths.items():
        for method, operation in item.items():
            assert operation["tags"] == ["Ollama"]
            answers = operation["responses"]["200"]["content"]
            schema = answers["application/json"]["schema"] | {"components": document["components"]}
            if method == "get":
                jsonschema.validate(compat.get(path).json(), schema)
                continue
            body = operation["requestBody"]["content"]["application/json"]["schema"]
            for example in body["examples"]:
                jsonschema.validate(example, body)
                response = compat.post(path, json=example)
                assert response.status_code == 200, response.text
                for line in response.text.splitlines():
                    jsonschema.validate(json.loads(line), schema)
