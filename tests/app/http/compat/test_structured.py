from typing import Any

import jsonschema
import pytest

from app.http.compat.prompt_schema import PLAIN_SCHEMA, find_schema
from app.http.compat.structured import fill_schema

CAPTION, TAGS, CHANCES = "a cat sits on a couch", ["cat", "couch"], [0.9, 0.4]


def filled(schema: dict[str, Any], **confidences: Any) -> Any:
    """Fill a schema, and check the value against it with jsonschema."""
    value = fill_schema(schema, CAPTION, TAGS, **confidences)
    jsonschema.validate(value, schema)
    return value


def objects(required: bool = True, **properties: Any) -> dict[str, Any]:
    """The schema of an object; `str` and so on stand for plain types."""
    names = {str: "string", float: "number", int: "integer", bool: "boolean", list: "array"}
    types = {k: v if isinstance(v, dict) else {"type": names[v]} for k, v in properties.items()}
    schema: dict[str, Any] = {"type": "object", "properties": types, "additionalProperties": False}
    return schema | ({"required": list(properties)} if required else {})


def test_plain_json_has_the_caption_and_the_tags() -> None:
    assert filled(PLAIN_SCHEMA) == {"description": CAPTION, "tags": TAGS}


@pytest.mark.parametrize(
    ("properties", "name"),
    [
        ({"file": str, "description": str}, "description"),
        ({"description": str, "caption": str}, "caption"),
        ({"language": str, "altText": str}, "altText"),
        ({"a": str, "image_description": str}, "image_description"),
        ({"first": str, "second": str}, "first"),
        ({"kind": {"type": "string", "enum": ["x"]}, "second": str}, "second"),
    ],
)
def test_the_caption_goes_where_the_name_fits_best(properties: dict[str, Any], name: str) -> None:
    assert filled(objects(**properties))[name] == CAPTION


def test_what_is_required_gets_the_emptiest_value_and_the_rest_is_left_out() -> None:
    some = objects(caption=str, note=str, count=int, ratio=float, seen=bool, boxes=list)
    assert filled(some) == {
        "caption": CAPTION, "note": "", "count": 0, "ratio": 0, "seen": False, "boxes": TAGS,
    }  # fmt: skip
    assert filled(objects(required=False, caption=str, note=str, count=int)) == {"caption": CAPTION}


def test_titles_and_summaries_get_the_caption_too() -> None:
    schema = objects(title=str, scene=str, shortSummary=str, visible_text=str)
    value = filled(schema)
    assert value == {
        "title": CAPTION, "scene": CAPTION, "shortSummary": CAPTION, "visible_text": "",
    }  # fmt: skip


def test_bounds_are_kept() -> None:
    schema = objects(
        caption={"type": "string", "maxLength": 10},
        code={"type": "string", "minLength": 30},
        stars={"type": "integer", "minimum": 1, "maximum": 5},
        cost={"type": "number", "exclusiveMinimum": 0},
        few={"type": "array", "items": {"type": "string"}, "maxItems": 1},
        many={"type": "array", "items": {"type": "integer"}, "minItems": 3},
    )
    value = filled(schema)
    assert value["caption"] == "a cat sits"
    assert value["stars"] == 1
    assert value["few"] == ["cat"]
    assert value["many"] == [0, 0, 0]


def test_choices() -> None:
    schema = objects(
        caption=str,
        animal={"enum": ["dog", "unknown"]},
        level={"enum": [1, 0]},
        size={"enum": ["s", "m"]},
        version={"const": 3},
        tags={"type": "array", "items": {"type": "string", "enum": ["couch", "dog"]}},
    )
    value = filled(schema)
    assert (value["animal"], value["level"], value["size"]) == ("unknown", 0, "s")
    assert (value["version"], value["tags"]) == (3, ["couch"])
    assert type(value["level"]) is int


LABELS = objects(
    labels={
        "type": "array",
        "items": objects(name={"type": "string", "minLength": 1}, confidence=float, nsfw=bool),
    }
)


def test_objects_with_a_name_are_tags() -> None:
    assert filled(LABELS, tag_confidences=CHANCES)["labels"] == [
        {"name": "cat", "confidence": 0.9, "nsfw": False},
        {"name": "couch", "confidence": 0.4, "nsfw": False},
    ]
    assert filled(LABELS)["labels"][0]["confidence"] == 0


def test_the_confidence_of_the_caption() -> None:
    schema = objects(caption=str, confidence={"type": "number", "maximum": 1})
    assert filled(schema, confidence=0.7) == {"caption": CAPTION, "confidence": 0.7}
    assert filled(schema)["confidence"] == 0


def test_references_and_alternatives() -> None:
    schema = {
        "$defs": {
            "Scene": objects(description={"$ref": "#/$defs/Text"}, parent={"$ref": "#/$defs/Up"}),
            "Text": {"anyOf": [{"type": "null"}, {"type": "string"}]},
            "Up": {"oneOf": [{"type": "null"}, {"$ref": "#/$defs/Scene"}]},
            "Base": {"properties": {"mood": {"type": ["null", "string"]}}, "required": ["mood"]},
        },
        "type": "object",
        "properties": {
            "scene": {"$ref": "#/$defs/Scene"},
            "more": {"allOf": [{"$ref": "#/$defs/Base"}, {"required": ["free"]}]},
        },
        "required": ["more"],
    }
    schema["$defs"]["Scene"]["required"] = ["description"]
    assert filled(schema) == {"scene": {"description": CAPTION}, "more": {"mood": "", "free": None}}


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string"}, CAPTION),
        ({"type": "array", "items": {"type": "string"}}, [CAPTION]),
        ({"type": "array", "items": objects(text=float, caption=str)}, [{"caption": CAPTION}]),
        ({"type": "number"}, 0),
        ({"type": "null"}, None),
        ({}, CAPTION),
        ({"type": "object"}, {}),
    ],
)
def test_other_things_than_objects(schema: dict[str, Any], value: Any) -> None:
    if isinstance(value, list) and isinstance(value[0], dict):
        value[0] = {"text": 0} | value[0]
    assert filled(schema) == value


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#/$defs/missing"},
        {"$ref": "https://example.org/schema"},
        {"$ref": "#", "x": 1},
        {"type": "array", "items": {"type": "integer"}, "minItems": 10**9},
        {"type": "string", "minLength": 10**9},
        {"type": "object", "properties": [1]},
        {"type": "object", "properties": {"a": 1}},
        {"type": "object", "required": 5},
        {"type": "object", "required": [{}]},
        {"type": "array", "minItems": "many"},
        {"type": "number", "minimum": "low"},
        {"enum": 5},
        {"anyOf": [1]},
        {"allOf": 5},
        {"$defs": {"A": {"allOf": [{"$ref": "#/$defs/A"}]}}, "$ref": "#/$defs/A"},
        {"type": "number", "minimum": float("inf"), "maximum": float("inf")},
        {
            "$defs": {
                f"d{i}": objects(a={"$ref": f"#/$defs/d{i + 1}"}, b={"$ref": f"#/$defs/d{i + 1}"})
                for i in range(30)
            },
            "$ref": "#/$defs/d0",
        },
    ],
)
def test_a_schema_that_cannot_be_filled_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        fill_schema(schema, CAPTION, TAGS)


def test_a_schema_that_needs_itself_is_refused() -> None:
    schema = {"$defs": {"A": objects(a={"$ref": "#/$defs/A"})}, "$ref": "#/$defs/A"}
    with pytest.raises(ValueError, match="too deeply"):
        fill_schema(schema, CAPTION, TAGS)


def test_an_example_in_a_prompt_is_what_it_asks_for() -> None:
    prompt = 'Return {braces} and JSON: {"labels": [{"name": "", "confidence": 0, "nsfw": false}]}'
    schema = find_schema(prompt)
    assert schema is not None
    assert filled(schema, tag_confidences=CHANCES)["labels"][1] == {
        "name": "couch", "confidence": 0.4, "nsfw": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    "items",
    [
        {"const": "x" * 10_000},
        {"enum": [["x" * 10_000]]},
        {"type": "string", "minLength": 10_000},
        {"type": "object", "required": ["x" * 10_000]},
        {"type": "object", "properties": {"x" * 10_000: True}, "required": ["x" * 10_000]},
    ],
)
def test_a_short_schema_cannot_ask_for_a_huge_answer(items: dict[str, Any]) -> None:
    schema = {"type": "array", "items": items}
    assert len(fill_schema(schema | {"minItems": 3}, CAPTION, TAGS)) == 3
    with pytest.raises(ValueError, match="too long an answer"):
        fill_schema(schema | {"minItems": 200}, CAPTION, TAGS)
