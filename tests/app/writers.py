"""Weights folders with tiny language models, and requests to them."""

import json
from dataclasses import replace
from pathlib import Path

import httpx

from model.bundle.write import save_bundle
from tests.tiny import save_tiny_captioner, tiny_language_model

NOTES = "a b c d e f g h"


def save_writer(folder: Path, **options: object) -> Path:
    """Save a tiny language model under the name of its folder."""
    language_model = tiny_language_model(**options)
    config = replace(language_model.config, name=folder.name)
    state = language_model.network.state_dict()
    save_bundle(folder, config, state, language_model.vocabulary, f"# {folder.name}\n")
    return folder


def save_all(weights: Path) -> Path:
    """Save the captioner `tiny` and the language models `notes` (words), `verse` (characters)."""
    save_tiny_captioner(weights / "captioner")
    save_writer(weights / "text" / "verse")
    save_writer(weights / "text" / "notes", text=NOTES, level="word", ends=True)
    return weights


def generate(client: httpx.Client, **body: object) -> dict:
    response = client.post("/generate-text", json={"model": "verse"} | body)
    assert response.status_code == 200, response.text
    return response.json()


def texts(client: httpx.Client, **body: object) -> list[str]:
    return [choice["text"] for choice in generate(client, **body)["choices"]]


def events(client: httpx.Client, **body: object) -> list[dict]:
    """Return the chunks of a streamed text, whose last event is [DONE]."""
    request = {"model": "verse", "stream": True} | body
    with client.stream("POST", "/generate-text", json=request) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in response.iter_lines() if line]
    assert all(line.startswith("data: ") for line in lines)
    *chunks, done = (line.removeprefix("data: ") for line in lines)
    assert done == "[DONE]"
    return [json.loads(chunk) for chunk in chunks]
