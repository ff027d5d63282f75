import pytest

from app.http.compat.openai.forms import Form, ResponseFormat, form_of

TEXT = {"type": "string"}
TEXTS = {"type": "array", "items": TEXT}


@pytest.mark.parametrize(
    ("prompts", "form"),
    [
        ([], Form()),
        (["Describe it."], Form()),
        (["Answer in JSON."], Form(json=True)),
        (["You speak json.", "Describe it."], Form(json=True)),
        (["No JSON, please."], Form()),
        (["Never answer in JSON."], Form()),
        (["Don't use JSON. But if you must, JSON of one line."], Form(json=True)),
        (["Write alt text."], Form(alt_text=True)),
        (["Write the alternative text of it."], Form(alt_text=True)),
        (["Write alt-text as JSON."], Form(json=True)),
        (["Use the salt text."], Form()),
    ],
)
def test_the_prompt_may_ask_for_a_form(prompts: list[str], form: Form) -> None:
    assert form_of(None, prompts) == form


def test_the_keys_that_a_prompt_quotes_are_a_schema() -> None:
    form = form_of(None, ["Give JSON with the key \"tags\", `title` and the word 'never'."])
    assert form.schema == {
        "type": "object",
        "properties": {"tags": TEXTS, "title": TEXT},
        "required": ["tags", "title"],
    }


def test_an_example_in_a_prompt_is_a_schema() -> None:
    form = form_of(None, ['Answer in JSON like {"scene": "", "labels": [""]}.'])
    assert form.schema == {
        "type": "object",
        "properties": {"scene": TEXT, "labels": TEXTS},
        "required": ["scene", "labels"],
    }


@pytest.mark.parametrize(
    ("asked", "form"),
    [
        ({"type": "text"}, Form()),
        ({"type": "json_object"}, Form(json=True)),
        ({"type": "json"}, Form(json=True)),
        ({"type": "json_schema"}, Form(json=True)),
        ({"type": "json_schema", "schema": TEXT}, Form(json=True, schema=TEXT)),
        ({"type": "json_schema", "json_schema": {"schema": TEXT}}, Form(json=True, schema=TEXT)),
    ],
)
def test_a_parameter_may_ask_for_a_form(asked: dict, form: Form) -> None:
    assert form_of(ResponseFormat.model_validate(asked), ["Describe it."]) == form


def test_only_so_much_of_the_prompts_is_read() -> None:
    asks, other = "Answer in JSON.", "Describe it. " * 1_000
    assert form_of(None, [asks, *[other] * 5]).json
    assert not form_of(None, [asks, *[other] * 10]).json, "the newest count"
    assert form_of(None, [*[other] * 10, asks]).json
    assert not form_of(None, ["Describe it. " * 2_000 + asks]).json
