"""Captions as JSON that fits a schema, for APIs whose clients ask a language model for JSON.

A captioner cannot follow instructions, but most of what clients ask for can be filled with what it
knows: the caption goes into the text property whose name fits best, tags into arrays of texts or of
objects with a name, confidences into numbers that are called so. Everything else that a schema
requires gets the emptiest value that it allows, and what it does not require is left out.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from app.http.compat.property_names import (
    Schema,
    choose_tag,
    choose_text,
    is_confidence,
    is_summary,
    kind_of,
)

__all__ = ["fill_schema"]

# Of an enumeration; the first of it otherwise.
_NEUTRAL = (None, "", "unknown", "none", "other", "n/a", False, 0)

_MAX_DEPTH = 32
_MAX_STEPS = 20_000  # nested references could otherwise ask for billions of values
_MAX_LENGTH = 10_000
_MAX_CHARACTERS = 1_000_000  # a long constant could otherwise be asked for thousands of times


def fill_schema(
    schema: Schema,
    caption: str,
    tags: Sequence[str],
    *,
    confidence: float | None = None,
    tag_confidences: Sequence[float] | None = None,
) -> Any:
    """Return a value that fits a JSON schema: for an object, a dict.

    References within the schema, `anyOf`, `oneOf` and `allOf` are followed; `pattern`, `format` and
    `not` are not obeyed.

    Args:
        schema: as JSON.
        caption: of the picture.
        tags: words for what is in the picture, best first.
        confidence: the chance that the caption is good, 0 to 1.
        tag_confidences: the probability of each tag, 0 to 1.

    Raises:
        ValueError: the schema is not one, or asks for too much.
    """
    filler = _Filler(schema, caption, tags, confidence, tag_confidences)
    try:
        return filler.fill(schema, best=True)
    except (TypeError, AttributeError, KeyError, OverflowError, RecursionError) as error:
        # Whatever stands where another type should: checking each place would hide what is done.
        raise ValueError("`format` is not a valid JSON schema") from error


class _Filler:
    """Fills one schema, see `fill_schema`."""

    def __init__(
        self,
        root: Schema,
        caption: str,
        tags: Sequence[str],
        confidence: float | None,
        tag_confidences: Sequence[float] | None,
    ) -> None:
        self._root = root
        self._caption = caption
        self._confidence = confidence
        chances: Sequence[float | None] = tag_confidences or [None] * len(tags)
        self._tags = list(zip(tags, chances, strict=True))
        self._steps = 0
        self._characters = 0

    def fill(self, schema: Any, *, best: bool = False, depth: int = 0) -> Any:
        """Return a value; `best` if the caption belongs into it, whatever its name."""
        if depth > _MAX_DEPTH:
            raise ValueError("the schema is nested too deeply")
        schema = self._resolve(schema)
        if "const" in schema:
            return self._copied(schema["const"])
        if choices := schema.get("enum"):
            return self._copied(_choose_neutral(choices))
        value: Any = None
        match kind_of(schema):
            case "object":
                value = self._object(schema, best, depth)
            case "array":
                value = self._array(schema, best, depth)
            case "string":
                value = self._text(schema, best)
            case "number" | "integer":
                value = _number(schema, 0)
            case "boolean":
                value = False
        return value

    def _object(self, schema: Schema, best: bool, depth: int) -> Schema:
        properties = schema.get("properties") or {}
        required = schema.get("required") or []
        if not isinstance(properties, Mapping) or not isinstance(required, list):
            raise ValueError("`properties` has to be an object, `required` an array")
        self._count(sum(map(len, properties)) + sum(map(len, required)))
        kinds = {name: self._resolve(part) for name, part in properties.items()}
        chosen = choose_text(kinds, anything=best)
        if best and chosen is None:
            chosen = self._choose_nested(kinds)
        filled: Schema = {}
        for name, part in kinds.items():
            if name == chosen:
                filled[name] = self.fill(part, best=True, depth=depth + 1)
            elif self._confidence is not None and is_confidence(name, part):
                filled[name] = _number(part, self._confidence)
            elif name in required and is_summary(name, part):
                filled[name] = self._text(part, best=True)
            elif name in required or kind_of(part) == "array":
                filled[name] = self.fill(part, depth=depth + 1)
        for name in required:
            filled.setdefault(name, None)
        return filled

    def _choose_nested(self, properties: Mapping[str, Schema]) -> str | None:
        """Return the property that is an object with a place for the caption."""
        nested = {n: self._properties(p) for n, p in properties.items() if kind_of(p) == "object"}
        named = (n for n, inner in nested.items() if choose_text(inner, anything=False))
        return next(named, next(iter(nested), None))

    def _array(self, schema: Schema, best: bool, depth: int) -> list[Any]:
        items = self._resolve(schema.get("items", {"type": "string"}))
        least, most = schema.get("minItems", 0), schema.get("maxItems", _MAX_STEPS)
        match kind_of(items):
            case "string" if best:
                found: list[Any] = [self._text(items, best=True)]
            case "string":
                found = [tag for tag, _ in self._tags if tag in items.get("enum", [tag])]
            case "object" if (name := choose_tag(self._properties(items))) is not None:
                found = [self._tag(items, name, *tag, depth) for tag in self._tags[:most]]
            case "object" if best:
                found = [self.fill(items, best=True, depth=depth + 1)]
            case _:
                found = []
        while len(found) < least:
            found.append(self.fill(items, depth=depth + 1))
        return found[:most]

    def _properties(self, schema: Schema) -> dict[str, Schema]:
        return {name: self._resolve(p) for name, p in (schema.get("properties") or {}).items()}

    def _tag(self, items: Schema, name: str, tag: str, chance: float | None, depth: int) -> Schema:
        """Fill an object that stands for one tag."""
        filled: Schema = self.fill(items, depth=depth + 1)
        filled[name] = tag
        for other, part in self._properties(items).items():
            if chance is not None and is_confidence(other, part):
                filled[other] = _number(part, chance)
        return filled

    def _text(self, schema: Schema, best: bool) -> str:
        """Return the caption, or as little as is allowed."""
        least = schema.get("minLength", 0)
        if not best and not least:
            return ""
        if least > _MAX_LENGTH:
            raise ValueError(f"a text of {least:,} characters is too long")
        text = _shorten(self._caption, schema.get("maxLength")).ljust(least)
        self._count(len(text))
        return text

    def _copied(self, value: Any) -> Any:
        """Return a value that the schema itself holds."""
        self._count(len(json.dumps(value)))
        return value

    def _count(self, characters: int) -> None:
        self._characters += characters
        if self._characters > _MAX_CHARACTERS:
            raise ValueError("the schema asks for too long an answer")

    def _resolve(self, schema: Any) -> Schema:
        """Follow references, and take the first alternative that is not null."""
        for _ in range(_MAX_DEPTH):
            self._steps += 1
            if self._steps > _MAX_STEPS:
                raise ValueError("the schema asks for too many values")
            if schema is True:
                return {}
            if not isinstance(schema, dict):
                raise ValueError("a schema has to be a JSON object")
            rest = {key: value for key, value in schema.items() if key not in _COMPOSED}
            if "$ref" in schema:
                schema = rest | self._find(schema["$ref"])
            elif alternatives := schema.get("anyOf") or schema.get("oneOf"):
                schema = rest | _first(alternatives)
            elif parts := schema.get("allOf"):
                schema = rest | self._merge(parts)
            else:
                return schema
        raise ValueError("the schema refers to itself too often")

    def _find(self, reference: Any) -> Schema:
        found: Any = self._root
        for part in str(reference).removeprefix("#").strip("/").split("/"):
            key = part.replace("~1", "/").replace("~0", "~")
            found = found.get(key) if isinstance(found, dict) and key else found
        if not str(reference).startswith("#") or not isinstance(found, dict):
            raise ValueError(f"the schema has no {str(reference)[:80]!r}")
        return found

    def _merge(self, parts: Any) -> Schema:
        merged: Schema = {}
        for part in map(self._resolve, parts):
            properties = (merged.get("properties") or {}) | (part.get("properties") or {})
            required = [*(merged.get("required") or []), *(part.get("required") or [])]
            merged |= part | {"properties": properties, "required": required}
        return merged


_COMPOSED = {"$ref", "anyOf", "oneOf", "allOf"}


def _choose_neutral(choices: list[Any]) -> Any:
    """Return the choice that says least; the first of them if all say something."""
    found = (c for value in _NEUTRAL for c in choices if c == value and type(c) is type(value))
    return next(found, choices[0])


def _first(alternatives: Any) -> Schema:
    if not isinstance(alternatives, list) or not all(isinstance(a, dict) for a in alternatives):
        raise ValueError("`anyOf` and `oneOf` have to be arrays of schemas")
    return next((each for each in alternatives if each.get("type") != "null"), {"type": "null"})


def _number(schema: Schema, value: float) -> float:
    """Return the nearest number that a schema allows."""
    value = min(max(value, schema.get("minimum", value)), schema.get("maximum", math.inf))
    if isinstance(least := schema.get("exclusiveMinimum"), int | float) and value <= least:
        value = least + 1
    if isinstance(most := schema.get("exclusiveMaximum"), int | float) and value >= most:
        value = most - 1
    return round(value) if kind_of(schema) == "integer" or value == int(value) else value


def _shorten(text: str, length: int | None) -> str:
    """Cut a text at a space, if it must be cut."""
    if length is None or len(text) <= length:
        return text
    return text[: length + 1].rpartition(" ")[0] or text[:length]
