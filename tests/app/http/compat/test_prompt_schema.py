import json
from typing import Any

import pytest

from app.http.compat.prompt_schema import find_schema


def test_an_example_in_a_prompt_stands_for_its_schema() -> None:
    assert find_schema('{"title": null, "tags": []}') == {
        "type": "object",
        "properties": {
            "title": {"type": "null"},
            "tags": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["title", "tags"],
    }


def test_a_schema_in_a_prompt() -> None:
    schema = objects_of_texts("caption") | {"additionalProperties": False}
    assert find_schema(f"Answer with this schema: {json.dumps(schema)}") == schema


@pytest.mark.parametrize("text", ["", "Describe it.", "{}", "{" * 30_000, '{"a": ' * 9_999])
def test_prompts_without_one(text: str) -> None:
    assert find_schema(text) is None


def test_half_a_surrogate_pair_in_a_prompt_is_no_example() -> None:
    assert find_schema(r'{"\ud800": ""}') is None
    assert find_schema(r'{"a": ["\udfff"]} or {"b": ""}') == objects_of_texts("b")
    assert find_schema(r'{"\ud83d\ude00": ""}') == objects_of_texts("\N{GRINNING FACE}")


def objects_of_texts(*names: str) -> dict[str, Any]:
    """The schema that an example with these names stands for."""
    properties = {name: {"type": "string"} for name in names}
    return {"type": "object", "properties": properties, "required": [*names]}
