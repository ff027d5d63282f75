"""What the properties of a JSON schema want, going by their names and types."""

import re
from collections.abc import Mapping
from typing import Any

__all__ = [
    "Schema",
    "choose_tag",
    "choose_text",
    "is_confidence",
    "is_summary",
    "kind_of",
]

Schema = dict[str, Any]

# The best name for a caption first. The first ones also count as a part, as in `image_caption`.
_CAPTION_WORDS = ("caption", "description", "alt")
_CAPTION_NAMES = (
    *_CAPTION_WORDS,
    "scene",
    "text",
    "summary",
    "content",
    "answer",
    "response",
    "result",
    "title",
)
# Beside the best one, these get the caption too if they are required: an empty title helps nobody.
_SUMMARIES = {"caption", "description", "alt_text", "scene", "summary", "short_summary", "title"}

_TAG_NAMES = ("name", "label", "tag", "keyword", "word", "text", "value", "title")
_CONFIDENCE_NAMES = ("confidence", "probability", "score", "certainty", "topicality")


def kind_of(schema: Schema) -> str | None:
    """Return the type of a resolved schema: the first one that is not null."""
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((each for each in kind if each != "null"), "null")
    if kind is None and "properties" in schema:
        return "object"
    if kind is None and "items" in schema:
        return "array"
    return "string" if kind is None else str(kind)


def choose_text(properties: Mapping[str, Schema], *, anything: bool) -> str | None:
    """Return the property that a caption belongs into; with `anything`, any text will do."""
    texts = [name for name, part in properties.items() if _is_free_text(part)]
    named = [
        *(name for word in _CAPTION_WORDS for name in texts if word in _words(name)),
        *(name for wanted in _CAPTION_NAMES for name in texts if wanted == _words(name)[0]),
    ]
    return next(iter(named or (texts if anything else [])), None)


def choose_tag(properties: Mapping[str, Schema]) -> str | None:
    """Return the property that a tag belongs into."""
    texts = [name for name, part in properties.items() if _is_free_text(part)]
    return next((name for wanted in _TAG_NAMES for name in texts if wanted in _words(name)), None)


def _is_free_text(part: Schema) -> bool:
    return kind_of(part) == "string" and "enum" not in part and "const" not in part


def is_summary(name: str, part: Schema) -> bool:
    """Return whether a property is a text about the whole picture."""
    return _is_free_text(part) and _words(name)[0] in _SUMMARIES


def is_confidence(name: str, part: Schema) -> bool:
    """Return whether a property is a number that says how sure something is."""
    return kind_of(part) in ("number", "integer") and name.lower() in _CONFIDENCE_NAMES


def _words(name: str) -> list[str]:
    """Return a property's whole name, then its words: `altText` gives alt_text, alt and text."""
    snake = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).replace("-", "_").lower()
    return [snake, *snake.split("_")]
