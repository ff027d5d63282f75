"""`POST /v1/chat/completions`, by OpenAI's own client."""

import asyncio
import base64
import json
import math

import openai
import pytest

from model.captioning.wording import alt_text
from tests.app.http.compat.openai.chats import ASKED, NAVY, PHOTO, data_uri, image, text, user
from tests.app.servers import Service

DRAWN = {"temperature": 1.5, "seed": 13}


def captions(service: Service, data: bytes = PHOTO, **parameters: object) -> list[dict]:
    """What our own route answers."""
    response = service.client.post(
        "/caption", params=parameters, content=data, headers={"Content-Type": "image/jpeg"}
    )
    assert response.status_code == 200, response.text
    return response.json()["captions"]


def caption(service: Service, data: bytes = PHOTO, **parameters: object) -> str:
    return captions(service, data, **parameters)[0]["text"]


def ask(api: openai.OpenAI, messages: list[dict] = ASKED, **options: object) -> str:
    answer = api.chat.completions.create(model="gpt-4o", messages=messages, **options)
    return answer.choices[0].message.content


def test_a_picture_is_captioned(api: openai.OpenAI, openai_service: Service) -> None:
    answer = api.chat.completions.create(model="gpt-4o-mini", messages=ASKED)
    assert answer.id.startswith("chatcmpl-")
    assert answer.object == "chat.completion"
    assert answer.model == "tiny"
    (choice,) = answer.choices
    (expected,) = captions(openai_service)
    assert choice.message.role == "assistant"
    assert choice.message.content == expected["text"]
    assert choice.finish_reason == "stop"
    assert choice.logprobs is None
    (details,) = choice.unrolled
    assert details.pop("text") == expected["text"]
    assert details == {
        name: pytest.approx(expected[name], abs=1e-4)
        for name in ("logprob", "mean_logprob", "finished", "confidence", "agreement")
    }
    assert answer.usage.completion_tokens == len(expected["tokens"])
    assert answer.usage.prompt_tokens == 0


@pytest.mark.parametrize(
    "messages",
    [
        [user(image(), text("Describe it."))],
        [user(image())],
        [user(text("Here it is:"), image(detail="low"), text("Describe it."))],
        [{"role": "system", "content": "You describe pictures."}, user(text("?"), image())],
        [{"role": "developer", "content": [text("Be brief.")]}, user(image())],
        [user(image()), {"role": "user", "content": "What is in the picture above?"}],
        [user({"type": "input_image", "image_url": data_uri(PHOTO)}, {"type": "input_text"})],
        [user({"type": "image_url", "image_url": data_uri(PHOTO)})],
        [user({"type": "image_url", "image_url": {"url": base64.b64encode(PHOTO).decode()}})],
        [user({"type": "image_url", "image_url": {"url": data_uri(PHOTO, "image/png")}})],
        [user(image(), {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}})],
        [user(image(NAVY)), {"role": "assistant", "content": "Navy."}, user(image())],
        [user(image()), {"role": "assistant", "content": "A photo."}, user(text("Of what?"))],
        [user(image()), {"role": "assistant", "content": None, "tool_calls": []}],
    ],
)
def test_the_picture_may_be_anywhere(
    api: openai.OpenAI, openai_service: Service, messages: list[dict]
) -> None:
    assert caption(openai_service) != caption(openai_service, NAVY)
    assert ask(api, messages) == caption(openai_service)


@pytest.mark.parametrize(
    "messages",
    [
        [user(image(), image(NAVY), text("Compare them."))],
        [user(image()), user(image(NAVY)), {"role": "user", "content": "Compare them."}],
    ],
)
def test_several_pictures_have_a_line_each(
    api: openai.OpenAI, openai_service: Service, messages: list[dict]
) -> None:
    lines = [caption(openai_service), caption(openai_service, NAVY)]
    answer = api.chat.completions.create(model="x", messages=messages)
    assert answer.choices[0].message.content == "\n".join(lines)
    assert [one["text"] for one in answer.choices[0].unrolled] == lines


def test_several_captions(api: openai.OpenAI, openai_service: Service) -> None:
    answer = api.chat.completions.create(model="x", messages=ASKED, n=5)
    expected = captions(openai_service, beam_size=5, num_captions=5)
    assert [one.message.content for one in answer.choices] == [one["text"] for one in expected]
    assert [one.index for one in answer.choices] == list(range(len(expected)))
    assert len(expected) > 1


def test_captions_are_drawn_at_a_temperature(api: openai.OpenAI, openai_service: Service) -> None:
    drawn = caption(openai_service, **DRAWN)
    assert ask(api, **DRAWN) == drawn != caption(openai_service)
    assert ask(api, temperature=1.5, seed=12) != drawn
    assert ask(api, temperature=1.5, seed=13 - 2**63) == drawn
    greedy = caption(openai_service, temperature=0)
    assert ask(api, temperature=1.5, top_p=0) == greedy
    # Without a temperature, or with 0, the likeliest caption is searched for.
    for options in ({"temperature": 0}, {"seed": 3}, {"top_p": 0.1}, {"temperature": None}):
        assert ask(api, **options) == caption(openai_service)


def test_a_drawn_caption_has_no_confidence(api: openai.OpenAI) -> None:
    answer = api.chat.completions.create(model="x", messages=ASKED, **DRAWN)
    (details,) = answer.choices[0].unrolled
    assert "confidence" not in details
    assert details["logprob"] < 0


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_a_caption_may_be_cut_off(api: openai.OpenAI, name: str) -> None:
    options = {"model": "x", "messages": ASKED, **DRAWN}
    whole = api.chat.completions.create(**options).choices[0]
    assert whole.finish_reason == "stop"
    cut = api.chat.completions.create(**options, **{name: 2}).choices[0]
    assert cut.finish_reason == "length"
    assert cut.message.content == " ".join(whole.message.content.split()[:2])
    for limit in (-1, 0, 1000):
        assert ask(api, **DRAWN, **{name: limit}) == whole.message.content


def test_the_logprobs_are_those_of_the_captions_words(
    api: openai.OpenAI, openai_service: Service
) -> None:
    messages = [user(image(), image(NAVY))]
    answer = api.chat.completions.create(
        model="x", messages=messages, logprobs=True, top_logprobs=3, **DRAWN
    )
    (choice,) = answer.choices
    tokens = choice.logprobs.content
    assert "".join(token.token for token in tokens) == choice.message.content
    assert all(bytes(token.bytes).decode() == token.token for token in tokens)
    for token in tokens:
        top = {one.token: one.logprob for one in token.top_logprobs}
        assert len(top) == 3
        assert list(top.values()) == sorted(top.values(), reverse=True)
        assert top.get(token.token, token.logprob) == pytest.approx(token.logprob, abs=1e-4)
    (first,) = captions(openai_service, **DRAWN)
    (second,) = captions(openai_service, NAVY, **DRAWN)
    expected = [token["logprob"] for token in (*first["tokens"][:-1], *second["tokens"][:-1])]
    assert [token.logprob for token in tokens] == pytest.approx(expected, abs=1e-4)


def test_a_stream_says_the_same(api: openai.OpenAI) -> None:
    options = {"model": "x", "messages": ASKED, "n": 2, "logprobs": True, **DRAWN}
    whole = api.chat.completions.create(**options)
    usage = {"stream_options": {"include_usage": True}}
    *chunks, last = api.chat.completions.create(**options, **usage, stream=True)
    assert last.choices == []
    assert last.usage == whole.usage
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
    for choice in whole.choices:
        parts = [c for chunk in chunks for c in chunk.choices if c.index == choice.index]
        assert parts[0].delta.role == "assistant"
        assert "".join(part.delta.content or "" for part in parts) == choice.message.content
        assert [part.finish_reason for part in parts] == [None, None, "stop"]
        (said,) = [part.logprobs for part in parts if part.logprobs is not None]
        assert [token.token for token in said.content] == [t.token for t in choice.logprobs.content]
        (details,) = [part.unrolled for part in parts if hasattr(part, "unrolled")]
        assert details[0]["text"] == choice.message.content
    without = list(api.chat.completions.create(**options, stream=True))
    assert all(chunk.usage is None and chunk.choices for chunk in without)


def test_a_stream_ends_as_openais_does(openai_service: Service) -> None:
    body = {"messages": ASKED, "stream": True}
    response = openai_service.client.post("/v1/chat/completions", json=body)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.text.startswith('data: {"id":"chatcmpl-')
    assert response.text.endswith("\n\ndata: [DONE]\n\n")


def test_the_asynchronous_client(base_url: str, openai_service: Service) -> None:
    async def ask_twice() -> tuple[str, str]:
        async with openai.AsyncOpenAI(base_url=base_url, api_key="unused") as client:
            whole = client.chat.completions.create(model="x", messages=ASKED)
            stream = await client.chat.completions.create(model="x", messages=ASKED, stream=True)
            pieces = [chunk.choices[0].delta.content or "" async for chunk in stream]
            return (await whole).choices[0].message.content, "".join(pieces)

    assert asyncio.run(ask_twice()) == (caption(openai_service),) * 2


def test_what_is_of_no_use_is_ignored(api: openai.OpenAI, openai_service: Service) -> None:
    answer = ask(
        api,
        stop=["\n"],
        presence_penalty=0.5,
        frequency_penalty=-0.5,
        logit_bias={"50256": -100},
        user="me",
        tools=[{"type": "function", "function": {"name": "look", "parameters": {}}}],
        tool_choice="auto",
        parallel_tool_calls=False,
        reasoning_effort="low",
        store=False,
        metadata={"a": "b"},
        extra_body={"num_ctx": 4096, "keep_alive": -1, "top_logprobs": None},
        extra_query={"api-version": "1"},
        extra_headers={"X-Title": "a tool"},
    )
    assert answer == caption(openai_service)


@pytest.mark.parametrize(
    ("said", "json_"),
    [
        ("Answer in JSON.", True),
        ("Describe it as a json object, without markdown around the JSON.", True),
        ("Describe it. Do not use JSON.", False),
        ("Describe it without any JSON or markdown.", False),
        ("Who is Jsonathan?", False),
    ],
)
def test_a_prompt_may_ask_for_json(
    api: openai.OpenAI, openai_service: Service, said: str, json_: bool
) -> None:
    (expected,) = captions(openai_service)
    answer = ask(api, [{"role": "system", "content": said}, user(image())])
    if not json_:
        assert answer == expected["text"]
        return
    assert json.loads(answer) == {
        "caption": expected["text"],
        "confidence": pytest.approx(expected["confidence"], abs=1e-4),
    }


def test_a_json_object_may_have_the_keys_of_the_prompt(
    api: openai.OpenAI, openai_service: Service
) -> None:
    prompt = 'Give JSON with the keys "title", `altText`, \'keywords\' and "colour".'
    form = {"type": "json_object"}
    answer = json.loads(ask(api, [user(text(prompt), image(NAVY))], response_format=form))
    said = caption(openai_service, NAVY)
    assert answer["title"] == said
    assert answer["altText"] == said
    assert answer["keywords"] == [said] == ["dog"]
    assert set(answer) == {"title", "altText", "keywords"}


def test_a_json_schema_is_filled(api: openai.OpenAI, openai_service: Service) -> None:
    schema = {
        "type": "object",
        "properties": {"description": {"type": "string"}, "people": {"type": "integer"}},
        "required": ["description", "people"],
    }
    form = {"type": "json_schema", "json_schema": {"name": "it", "schema": schema, "strict": True}}
    answer = json.loads(ask(api, response_format=form))
    assert answer == {"description": caption(openai_service), "people": 0}
    plain = ask(api, response_format={"type": "text"})
    assert plain == caption(openai_service)


def test_alt_text_is_a_sentence(api: openai.OpenAI, openai_service: Service) -> None:
    answer = ask(api, [user(text("Write alt text for this image."), image(), image(NAVY))])
    expected = [alt_text(caption(openai_service, data)) for data in (PHOTO, NAVY)]
    assert answer.splitlines() == expected
    assert all(line.endswith(".") for line in expected)


def test_a_language_model_continues_a_chat_without_a_picture(
    api: openai.OpenAI, openai_service: Service
) -> None:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Twin"}]
    options = {"model": "verse", "messages": messages, "seed": 1, "n": 2, "logprobs": True}
    whole = api.chat.completions.create(**options, top_logprobs=2)
    body = {"model": "verse", "prompt": "Twin", "seed": 1, "n": 2, "logprobs": 2}
    expected = openai_service.client.post("/generate-text", json=body).json()
    assert whole.model == "verse"
    for choice, text_ in zip(whole.choices, expected["choices"], strict=True):
        assert choice.message.content == text_["text"]
        assert choice.finish_reason == text_["finish_reason"]
        logprobs = [token.logprob for token in choice.logprobs.content]
        assert math.fsum(logprobs) == pytest.approx(text_["logprob"])
        assert all(len(token.top_logprobs) == 2 for token in choice.logprobs.content)
    assert whole.usage.model_dump(exclude_none=True) == expected["usage"]
    chunks = list(api.chat.completions.create(**options, stream=True))
    for choice in whole.choices:
        parts = [c for chunk in chunks for c in chunk.choices if c.index == choice.index]
        assert [part.delta.role for part in parts] == ["assistant", *[None] * (len(parts) - 1)]
        assert "".join(part.delta.content for part in parts) == choice.message.content
        assert parts[-1].finish_reason == "length"
    assert ask(api, messages, extra_body={"model": "verse"}, temperature=1, top_p=0) == ask(
        api, messages, extra_body={"model": "verse"}, temperature=0
    )


def test_a_picture_is_captioned_whatever_the_model(
    api: openai.OpenAI, openai_service: Service
) -> None:
    assert ask(api, extra_body={"model": "verse"}) == caption(openai_service)
    body = {"messages": ASKED}
    response = openai_service.client.post("/v1/chat/completions", json=body)
    assert response.json()["choices"][0]["message"]["content"] == caption(openai_service)
