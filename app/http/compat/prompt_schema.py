"""The JSON schema that a prompt asks for."""

import json
import re
from itertools import islice
from typing import Any

from app.http.compat.property_names import Schema

__all__ = ["PLAIN_SCHEMA", "find_schema"]

# What a client gets that asks for JSON and does not say which.
PLAIN_SCHEMA: Schema = {
    "type": "object",
    "properties": {
        "description": {"type": "string"},
        "tags": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["description", "tags"],
}

_MAX_DEPTH = 32


def find_schema(text: str) -> Schema | None:
    """Return the schema that a prompt asks for: one in it, or that of the first JSON object in it.

    Many prompts show an example, such as {"labels": [{"name": "", "confidence": 0}]}.
    """
    decoder = json.JSONDecoder()
    text = text[:20_000]
    for brace in islice(re.finditer(r"\{", text), 50):
        try:
            found, _ = decoder.raw_decode(text, brace.start())
            json.dumps(found, ensure_ascii=False).encode()  # half a surrogate pair is no text
        except (ValueError, RecursionError):
            continue
        if isinstance(found.get("properties"), dict):
            return dict(found)
        if found:
            return _schema_of(found)
    return None


def _schema_of(example: Any, depth: int = 0) -> Schema:
    match example:
        case dict() if depth < _MAX_DEPTH:
            properties = {name: _schema_of(value, depth + 1) for name, value in example.items()}
            return {"type": "object", "properties": properties, "required": list(properties)}
        case list() if depth < _MAX_DEPTH:
            items = _schema_of(example[0], depth + 1) if example else {"type": "string"}
            return {"type": "array", "items": items}
        case bool():
            return {"type": "boolean"}
        case int() | float():
            return {"type": "number"}
        case None:
            return {"type": "null"}
        case _:
            return {"type": "string"}
