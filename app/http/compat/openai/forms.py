"""The form of an answer that a request asks for: text, alt text or JSON.

It may ask in a parameter, or in the prompt, which is searched for that and read for nothing else.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, Field

from app.http.compat.prompt_schema import find_schema

__all__ = ["Form", "NamedSchema", "ResponseFormat", "form_of"]

# "json" as a word, unless it is refused just before: "respond in JSON", not "do not use JSON".
_JSON = re.compile(r"\bjson\b", re.IGNORECASE)
_REFUSAL = re.compile(r"(\b(no|not|never|without)|n't)(\W+\w+){0,2}\W+$", re.IGNORECASE)

_ALT_TEXT = re.compile(r"\balt(ernative)?[- ]?(text|description)\b", re.IGNORECASE)

# Keys that a prompt may quote: 'answer in JSON with the keys "title" and "tags"'.
_QUOTED = re.compile(r"""["'`](\w+)["'`]""")
_TEXTS = {
    "alt", "altText", "alt_text", "caption", "description", "shortSummary", "summary", "text",
    "title",
}  # fmt: skip
# Of each prompt, and of all together: longer ones would be searched for seconds.
_MAX_PROMPT = 20_000
_MAX_PROMPTS = 100_000

_LISTS = {"categories", "keywords", "labels", "objects", "tags"}


class NamedSchema(BaseModel):
    """A schema and its name, which is ignored."""

    schema_: dict[str, Any] | None = Field(default=None, alias="schema")


class ResponseFormat(BaseModel):
    """The form of the answer: text, any JSON object, or one that matches a schema."""

    type: str = Field(default="text", description="`text`, `json_object` or `json_schema`.")
    json_schema: NamedSchema | None = Field(
        default=None, description="`{name, schema}`, as chat completions have it."
    )
    schema_: dict[str, Any] | None = Field(
        default=None, alias="schema", description="The schema, as responses have it."
    )


@dataclass(frozen=True)
class Form:
    """The form of an answer: JSON, with the schema if there is one, alt text, or plain text."""

    json: bool = False
    schema: dict[str, Any] | None = None
    alt_text: bool = False


def form_of(asked: ResponseFormat | None, prompts: Sequence[str]) -> Form:
    """Return the form that a request asks for, by the parameter or in its prompts.

    Of the prompts, the beginning of each is read, and if they are very many the newest.
    """
    prompts = _readable(prompts)
    if asked is not None and asked.type == "json_schema":
        named = None if asked.json_schema is None else asked.json_schema.schema_
        return Form(json=True, schema=asked.schema_ if named is None else named)
    if (asked is not None and asked.type.startswith("json")) or any(map(_asks_for_json, prompts)):
        schemas = filter(None, map(find_schema, reversed(prompts)))
        return Form(json=True, schema=next(schemas, None) or _quoted_keys(prompts))
    return Form(alt_text=any(map(_ALT_TEXT.search, prompts)))


def _readable(prompts: Sequence[str]) -> list[str]:
    """Return what is searched of the prompts, in their order."""
    found: list[str] = []
    room = _MAX_PROMPTS
    for prompt in reversed(prompts):
        if room <= 0:
            break
        found.append(prompt[: min(_MAX_PROMPT, room)])
        room -= len(found[-1]) or 1
    return found[::-1]


def _asks_for_json(prompt: str) -> bool:
    return any(
        not _REFUSAL.search(prompt, max(0, found.start() - 60), found.start())
        for found in _JSON.finditer(prompt)
    )


def _quoted_keys(prompts: Sequence[str]) -> dict[str, Any] | None:
    """Return a schema of the keys that the prompts quote and that we know, if any."""
    keys = dict.fromkeys(key for prompt in prompts for key in _QUOTED.findall(prompt))
    kinds: dict[str, Any] = {
        key: {"type": "string"} if key in _TEXTS else {"type": "array", "items": {"type": "string"}}
        for key in keys
        if key in _TEXTS | _LISTS
    }
    return {"type": "object", "properties": kinds, "required": [*kinds]} if kinds else None
