"""Requests as tools send them that speak to Ollama, and what those tools read of the answers."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import httpx
import ollama
import pytest

from tests.app.photos import encoded, photo
from tests.app.servers import Service

DATA = encoded(photo(), "JPEG")
BASE64 = base64.b64encode(DATA).decode()


@pytest.fixture
def caption(compat: httpx.Client) -> str:
    """The caption of the picture by our own API."""
    answer = compat.post("/caption", json={"image": BASE64}).json()
    return answer["captions"][0]["text"]


@pytest.fixture
def real(named: Service) -> Iterator[ollama.Client]:
    client = ollama.Client(f"http://127.0.0.1:{named.port}", timeout=60, headers=None)
    yield client
    client.close()


FRIGATE = {"options": {"temperature": 0.5, "repeat_penalty": 1.05, "presence_penalty": 0.3}}


def test_frigate(real: ollama.Client, caption: str) -> None:
    """It shows the model when it starts, and sends several frames."""
    assert not real.show("captioner").get("error")
    result = real.generate("captioner", "Describe the person.", images=[DATA, DATA], **FRIGATE)
    assert str(result["response"]).strip() == f"{caption}\n{caption}"
    assert result.get("done_reason") == "stop"
    assert result.get("prompt_eval_count") == 2
    names = [model.get("name", model.get("model", "")) for model in real.list().get("models")]
    assert "captioner:latest" in names


def test_frigate_reviews(real: ollama.Client, caption: str) -> None:
    """Its reviews are JSON, whose schema has lost its titles and bounds."""
    properties = {
        "title": {"type": "string"},
        "scene": {"type": "string"},
        "confidence": {"type": "number"},
        "potential_threat_level": {"type": "integer"},
        "other_concerns": {"anyOf": [{"type": "array", "items": {"type": "string"}}]},
    }
    schema = {"type": "object", "properties": properties, "required": [*properties][:4]}
    result = real.generate("captioner", "Review.", images=[DATA], format=schema, **FRIGATE)
    review = json.loads(result["response"])
    assert (review["title"], review["scene"]) == (caption, caption)
    assert review["potential_threat_level"] == 0


def test_llm_vision_for_home_assistant(compat: httpx.Client, caption: str) -> None:
    """Each picture is a message of its own, before the prompt."""
    payload = {
        "model": "captioner",
        "messages": [
            {"role": "user", "content": "Image 1:", "images": [BASE64]},
            {"role": "user", "content": "What is in the driveway?"},
        ],
        "stream": False,
        "keep_alive": 5,
        "system": "You are a camera.",
        "options": {"num_predict": 3000, "temperature": 0.2, "num_ctx": 2048},
    }
    response = compat.post("/api/chat", json=payload)
    assert response.json()["message"]["content"] == caption


def photoprism(**changes: Any) -> dict[str, Any]:
    body = {
        "id": "0190b5a6-0000-7000-8000-000000000000",
        "model": "captioner:latest",
        "prompt": "Create a caption with exactly one sentence.",
        "suffix": "",
        "options": {"temperature": 0.1},
        "stream": False,
        "images": [BASE64],
    }
    return body | changes


def test_photoprism_captions(compat: httpx.Client, caption: str) -> None:
    answer = compat.post("/api/generate", json=photoprism()).json()
    assert answer["response"].strip() == caption
    assert answer["created_at"][:2] == "20"
    assert all(isinstance(answer[name], int) for name in ("load_duration", "eval_duration"))


def test_photoprism_labels(compat: httpx.Client) -> None:
    """An example in the prompt says what the labels look like."""
    example = {"labels": [{"name": "", "confidence": 0, "topicality": 0}]}
    body = photoprism(
        prompt="Assign labels to the picture.",
        system=f"Return JSON that matches:\n{json.dumps(example, indent=2)}",
        format="json",
        options={"temperature": 0.1, "top_p": 0.9, "stop": ["\n\n"]},
    )
    answer = json.loads(compat.post("/api/generate", json=body).json()["response"])
    params = {"tags": True}
    tags = compat.post("/caption", json={"image": BASE64}, params=params).json()["tags"]
    assert tags
    assert answer["labels"] == [
        {
            "name": tag["word"],
            "confidence": pytest.approx(tag["probability"]),
            "topicality": pytest.approx(tag["probability"]),
        }
        for tag in tags
    ]


def test_immich_analyze(compat: httpx.Client, caption: str) -> None:
    body = {
        "model": "qwen3-vl:4b-thinking-q4_K_M",  # what it asks for unless it is told otherwise
        "messages": [{"role": "user", "content": "Create a description.", "images": [BASE64]}],
        "stream": False,
    }
    response = compat.post("/api/chat", json=body)
    assert response.is_success
    assert response.json()["message"]["content"].strip() == caption


def test_ai_content_describer_for_nvda(compat: httpx.Client, caption: str) -> None:
    """It lists the models to choose from, and asks again about the same picture."""
    models = [model["model"] for model in compat.get("/api/tags").json()["models"]]
    message = {"role": "user", "content": "Describe this image.", "images": [BASE64]}
    body = {"model": models[0], "messages": [message], "stream": False}
    content = json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    answer = compat.post("/api/chat", content=content, headers=headers).json()
    assert answer["message"]["content"] == caption
    again = [*body["messages"], answer["message"], {"role": "user", "content": "And the colours?"}]
    answer = compat.post("/api/chat", json=body | {"messages": again}).json()
    assert answer["message"]["content"] == caption
