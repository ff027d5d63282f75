"""Requests of the shapes that tools send are answered as the tools read them."""

import json

import httpx
import jsonschema
import pytest

from model.captioning.wording import alt_text
from tests.app.http.compat.openai.chats import NAVY
from tests.app.http.compat.openai.test_chat import caption
from tests.app.http.compat.openai.tool_requests import EVENT, LABELS, TAGS, TOOL_REQUESTS
from tests.app.servers import Service

BEARER = {"Authorization": "Bearer anything"}


@pytest.fixture
def answers(openai_service: Service) -> dict[str, str]:
    return {tool: answer(openai_service.client, tool) for tool in TOOL_REQUESTS}


def answer(client: httpx.Client, tool: str) -> str:
    """Send a tool's request, and find the text where tools look for it."""
    path, body = TOOL_REQUESTS[tool]
    response = client.post(path, json=body, headers=BEARER)
    assert response.status_code == 200, (tool, response.text)
    found = response.json()
    if path == "/v1/responses":
        return found["output"][0]["content"][0]["text"]
    assert found["usage"]["total_tokens"] > 0
    return found["choices"][0]["message"]["content"]


def test_every_tool_gets_what_it_reads(openai_service: Service, answers: dict[str, str]) -> None:
    one, other = caption(openai_service), caption(openai_service, NAVY)
    for tool in ("nextcloud integration_openai", "home assistant llmvision", "frigate"):
        assert answers.pop(tool).splitlines() == [one, other], tool
    assert answers.pop("mastodon img-alt-api") == alt_text(one)
    structured = json.loads(answers.pop("home assistant llmvision, structured"))
    jsonschema.validate(structured, EVENT)
    assert structured == {"title": one, "description": one, "people": 0}
    labels = json.loads(answers.pop("photoprism labels"))
    jsonschema.validate(labels, LABELS)
    assert [label["name"] for label in labels["labels"]] == [one]
    assert 0 < labels["labels"][0]["confidence"] < 1
    for tool in ("karakeep", "karakeep, json"):
        tags = json.loads(answers.pop(tool))
        jsonschema.validate(tags, TAGS)
        assert tags == {"tags": [one]}, tool
    assert set(answers.values()) == {one}


def test_a_tool_that_checks_its_settings_without_a_picture(openai_service: Service) -> None:
    """valentinfrlch/ha-llmvision says hello; a language model's name makes that work."""
    body = {"model": "verse", "messages": [{"role": "user", "content": [{"type": "text",
            "text": "Hi"}]}]}  # fmt: skip
    response = openai_service.client.post("/v1/chat/completions", json=body, headers=BEARER)
    assert response.json()["choices"][0]["message"]["content"]
