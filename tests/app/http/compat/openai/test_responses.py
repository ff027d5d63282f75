"""`POST /v1/responses`, by OpenAI's own client."""

import asyncio
import json

import openai
import pytest

from tests.app.http.compat.openai.chats import NAVY, PHOTO, data_uri
from tests.app.http.compat.openai.test_chat import DRAWN, caption, captions
from tests.app.servers import Service


def shown(*pictures: bytes, said: str = "What is in this picture?") -> list[dict]:
    parts = [{"type": "input_image", "image_url": data_uri(data)} for data in pictures]
    return [{"role": "user", "content": [{"type": "input_text", "text": said}, *parts]}]


def test_a_picture_is_captioned(api: openai.OpenAI, openai_service: Service) -> None:
    (expected,) = captions(openai_service)
    answer = api.responses.create(model="gpt-5", input=shown(PHOTO))
    assert answer.output_text == expected["text"]
    assert answer.status == "completed"
    assert answer.error is None
    assert answer.model == "tiny"
    assert answer.usage.output_tokens == answer.usage.total_tokens == len(expected["tokens"])
    (message,) = answer.output
    assert (message.type, message.role, message.status) == ("message", "assistant", "completed")
    (part,) = message.content
    assert part.unrolled[0]["confidence"] == pytest.approx(expected["confidence"], abs=1e-4)


@pytest.mark.parametrize("kind", ["message", None])
def test_the_input_is_a_list_of_items(
    api: openai.OpenAI, openai_service: Service, kind: str | None
) -> None:
    items = [{**item, **({"type": kind} if kind else {})} for item in shown(PHOTO, NAVY)]
    reasoning = {"type": "reasoning", "id": "rs_1", "summary": []}
    answer = api.responses.create(
        model="x",
        instructions="Describe pictures.",
        input=[*items, reasoning, {"role": "user", "content": "Go on."}],
        tools=[],
        store=False,
        reasoning={"effort": "low"},
        truncation="auto",
        extra_body={"detail": "low"},
    )
    assert answer.instructions == "Describe pictures."
    assert answer.output_text.splitlines() == [
        caption(openai_service),
        caption(openai_service, NAVY),
    ]


def test_options(api: openai.OpenAI, openai_service: Service) -> None:
    options = {"temperature": DRAWN["temperature"], "extra_body": {"seed": DRAWN["seed"]}}
    drawn = api.responses.create(model="x", input=shown(PHOTO), **options)
    assert drawn.output_text == caption(openai_service, **DRAWN)
    assert drawn.temperature == DRAWN["temperature"]
    cut = api.responses.create(model="x", input=shown(PHOTO), max_output_tokens=2, **options)
    assert cut.output_text == " ".join(drawn.output_text.split()[:2])
    assert cut.status == "incomplete"
    assert cut.incomplete_details.reason == "max_output_tokens"


def test_json(api: openai.OpenAI, openai_service: Service) -> None:
    schema = {
        "type": "object",
        "properties": {"alt": {"type": "string"}},
        "required": ["alt"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "name": "picture", "schema": schema, "strict": True}
    answer = api.responses.create(model="x", input=shown(PHOTO), text={"format": form})
    assert json.loads(answer.output_text) == {"alt": caption(openai_service)}
    answer = api.responses.create(model="x", instructions="Speak JSON.", input=shown(PHOTO))
    assert json.loads(answer.output_text)["caption"] == caption(openai_service)


def test_a_stream(api: openai.OpenAI, base_url: str, openai_service: Service) -> None:
    events = list(api.responses.create(model="x", input=shown(PHOTO, NAVY), stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert [event.type.removeprefix("response.") for event in events] == [
        "created", "output_item.added", "content_part.added", "output_text.delta",
        "output_text.done", "content_part.done", "output_item.done", "completed",
    ]  # fmt: skip
    expected = f"{caption(openai_service)}\n{caption(openai_service, NAVY)}"
    assert events[3].delta == events[4].text == events[-1].response.output_text == expected
    with api.responses.stream(model="x", input=shown(PHOTO)) as stream:
        for _ in stream:
            pass
        assert stream.get_final_response().output_text == caption(openai_service)

    async def stream_asynchronously() -> str:
        async with openai.AsyncOpenAI(base_url=base_url, api_key="unused") as client:
            stream = await client.responses.create(model="x", input=shown(PHOTO), stream=True)
            return [event async for event in stream][-1].response.output_text

    assert asyncio.run(stream_asynchronously()) == caption(openai_service)


def test_the_events_are_named(openai_service: Service) -> None:
    body = {"input": shown(PHOTO), "stream": True}
    lines = openai_service.client.post("/v1/responses", json=body).text.splitlines()
    assert lines[0] == "event: response.created"
    assert json.loads(lines[1].removeprefix("data: "))["type"] == "response.created"


@pytest.mark.parametrize("said", ["Hi", [{"role": "user", "content": "Hi"}]])
def test_an_input_without_a_picture(api: openai.OpenAI, said: object) -> None:
    with pytest.raises(openai.BadRequestError, match="the input has no picture"):
        api.responses.create(model="x", input=said)
