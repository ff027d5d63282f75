"""Requests of the shapes that tools send, written from what their code does; prompts are ours.

Each is a path and a JSON body, with the pictures PHOTO and, where a tool sends several, NAVY.
"""

import base64
from typing import Any

from tests.app.http.compat.openai.chats import NAVY, PHOTO, data_uri, image, text, user

__all__ = ["TOOL_REQUESTS"]

LABELS = {
    "type": "object",
    "properties": {
        "labels": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "name": {"type": "string", "minLength": 1},
                    "confidence": {"type": "number", "minimum": 0, "maximum": 1},
                    "topicality": {"type": "number", "minimum": 0, "maximum": 1},
                },
                "required": ["name", "confidence", "topicality"],
                "additionalProperties": False,
            },
            "default": [],
        }
    },
    "required": ["labels"],
    "additionalProperties": False,
}

TAGS = {
    "type": "object",
    "properties": {"tags": {"type": "array", "items": {"type": "string"}}},
    "required": ["tags"],
    "additionalProperties": False,
    "$schema": "http://json-schema.org/draft-07/schema#",
}

EVENT = {
    "type": "object",
    "properties": {
        "title": {"type": "string"},
        "description": {"type": "string"},
        "people": {"type": "integer"},
    },
    "required": ["title", "description", "people"],
    "additionalProperties": False,
}


def _json_schema(name: str, schema: dict) -> dict:
    return {"type": "json_schema", "json_schema": {"name": name, "schema": schema, "strict": True}}


CHAT = "/v1/chat/completions"

TOOL_REQUESTS: dict[str, tuple[str, dict[str, Any]]] = {
    # nextcloud/integration_openai, lib/TaskProcessing/AnalyzeImagesProvider.php: each picture is a
    # message of the history, before the question.
    "nextcloud integration_openai": (
        CHAT,
        {
            "model": "captioner",
            "messages": [
                {"role": "system", "content": "Answer from the pictures."},
                user(image()),
                user(image(NAVY)),
                {"role": "user", "content": "What do they show?"},
            ],
            "n": 1,
            "max_tokens": 1000,
            "user": "admin",
        },
    ),
    # valentinfrlch/ha-llmvision, custom_components/llmvision/providers.py: a tag before each
    # picture, the question last.
    "home assistant llmvision": (
        CHAT,
        {
            "model": "gpt-4o-mini",
            "messages": [
                {"role": "system", "content": "You watch a camera."},
                user(
                    text("Image 1:"), image(), text("front door:"), image(NAVY), text("Describe.")
                ),
            ],
            "max_completion_tokens": 100,
            "temperature": 0,
            "top_p": 0.9,
        },
    ),
    # The same file, with a structure.
    "home assistant llmvision, structured": (
        CHAT,
        {
            "model": "gpt-4o-mini",
            "messages": [user(text("Image 1:"), image(), text("Describe the event."))],
            "max_tokens": 100,
            "temperature": 0,
            "top_p": 0.9,
            "response_format": _json_schema("response", EVENT),
        },
    ),
    # photoprism/photoprism, internal/ai/vision/openai/transport.go and api_request.go: the
    # responses API, with the system's text as parts too.
    "photoprism caption": (
        "/v1/responses",
        {
            "model": "gpt-5-mini",
            "input": [
                {"role": "system", "type": "message", "content": [
                    {"type": "input_text", "text": "You caption photographs."}]},
                {"role": "user", "type": "message", "content": [
                    {"type": "input_text", "text": "Describe it in a sentence."},
                    {"type": "input_image", "image_url": data_uri(PHOTO), "detail": "low"}]},
            ],
            "reasoning": {"effort": "low"},
            "max_output_tokens": 512,
        },
    ),
    # The same files, and internal/ai/vision/schema/labels.go.
    "photoprism labels": (
        "/v1/responses",
        {
            "model": "gpt-5-mini",
            "input": [{"role": "user", "content": [
                {"type": "input_text", "text": "Return labels."},
                {"type": "input_image", "image_url": data_uri(PHOTO), "detail": "low"}]}],
            "text": {"format": {"type": "json_schema", "name": "photoprism_vision_labels_v1",
                                "schema": LABELS, "strict": True}},
            "max_output_tokens": 1024,
        },
    ),
    # cheeaun/img-alt-api, main.js: alt text for Mastodon, for the web client Phanpy.
    "mastodon img-alt-api": (
        CHAT,
        {
            "model": "gpt-4-vision-preview",
            "messages": [user(text("Write a short image alt description."), image(detail="low"))],
            "max_tokens": 85,
        },
    ),
    # cartertemm/AI-content-describer, description_service.py of its global plugin: a follow-up
    # sends the picture again.
    "nvda AI-content-describer": (
        CHAT,
        {
            "model": "gpt-4o",
            "messages": [
                user(text("Describe it."), image()),
                {"role": "assistant", "content": "Something."},
                user(text("Say it again."), image()),
            ],
            "max_tokens": 250,
        },
    ),
    # The same file, with `image_url` as a text.
    "nvda AI-content-describer, mistral": (
        CHAT,
        {
            "model": "pixtral-large-latest",
            "messages": [user(
                text("Describe it."), {"type": "image_url", "image_url": data_uri(PHOTO)}
            )],
            "max_tokens": 250,
        },
    ),
    # karakeep-app/karakeep, packages/shared/inference/openai.ts: structured output by default.
    "karakeep": (
        CHAT,
        {
            "model": "gpt-4o-mini",
            "max_tokens": 2048,
            "response_format": _json_schema("schema", TAGS),
            "messages": [user(text("Suggest tags."), image(detail="low"))],
        },
    ),
    # The same with INFERENCE_OUTPUT_SCHEMA=json.
    "karakeep, json": (
        CHAT,
        {
            "model": "gpt-4o-mini",
            "max_tokens": 2048,
            "response_format": {"type": "json_object"},
            "messages": [user(text('Answer in valid JSON with the key "tags".'), image())],
        },
    ),
    # blakeblackshear/frigate, frigate/genai/openai.py: all thumbnails of an event in a message.
    "frigate": (
        CHAT,
        {
            "model": "gpt-4o",
            "messages": [
                user(text("Describe the person."), image(detail="low"), image(NAVY, detail="low"))
            ],
        },
    ),
    # timasoft/immich-analyze, src/llamacpp.rs.
    "immich-analyze": (
        CHAT,
        {
            "model": "captioner",
            "messages": [user(text("Describe it for a search."), image())],
            "stream": False,
        },
    ),
    # Some tools send base64 alone.
    "bare base64": (
        CHAT,
        {"messages": [user({"type": "image_url",
                            "image_url": {"url": base64.b64encode(PHOTO).decode()}})]},
    ),
}  # fmt: skip
