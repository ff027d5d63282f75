"""`POST /v1/chat/completions`: pictures in a conversation in, their captions out."""

from collections.abc import AsyncGenerator, Sequence
from typing import Any

from fastapi import APIRouter, Request, Response

from app.errors import EmptyBody
from app.http.bodies import inline_schema, json_body, read_json_with_pictures
from app.http.compat.openai.answers import Answer, answers_of
from app.http.compat.openai.captions import caption_pictures
from app.http.compat.openai.forms import Form, form_of
from app.http.compat.openai.messages import picture_urls, texts
from app.http.compat.openai.requests import PROMPTS, ChatRequest
from app.http.compat.openai.schemas import (
    ChatChoice,
    ChatChunk,
    ChatChunkChoice,
    ChatCompletion,
    ChatDelta,
    ChatLogprobs,
    ChatMessage,
    ChatTokenLogprob,
    Completion,
    error_responses,
)
from app.http.compat.openai.writing import continue_chat
from app.http.deps import EngineDep, RequestId, SettingsDep
from app.http.schemas.texts import Usage
from app.http.streaming import EventStream, encode_event, first_of
from model.vocabulary import END

__all__ = ["router"]

router = APIRouter(tags=["OpenAI's API"])

_EVENTS: dict[str, Any] = {
    "description": "The captions. With `stream`, server-sent events: the `data` of each is a "
    "chunk, that of the last is `[DONE]`.",
    "content": {"text/event-stream": {"schema": inline_schema(ChatChunk, "serialization")}},
}


@router.post(
    "/v1/chat/completions",
    summary="Caption pictures in a chat (OpenAI)",
    description=f"Caption the pictures of a conversation, as a model with vision answers.\n\n"
    f"{PROMPTS} Pictures may be in any message; of a conversation with answers, those of the last "
    "turn that shows any are captioned, each on a line of its own.\n\nWith `response_format` or a "
    "prompt that asks for JSON, the caption is put into JSON: into the properties of a schema "
    "whose names fit, such as `description`, `alt` or `title`. Lists of texts get tags, other "
    'required properties an empty value; without a schema it is `{"caption": ..., "confidence": '
    "...}`, or the keys that the prompt quotes and that we know. A prompt that asks for alt text "
    "gets the caption as a sentence.\n\nA chat without a picture is a 400, unless `model` is a "
    "language model: it continues the last message, which is all that it reads.",
    response_model=ChatCompletion,
    responses={200: _EVENTS, **error_responses(400, 404, 408, 413, 429, 503)},
    openapi_extra=json_body(ChatRequest, "A conversation that shows pictures."),
)
async def complete_chat(
    request: Request, engine: EngineDep, settings: SettingsDep, request_id: RequestId
) -> Response:
    """Answer a chat with captions, or with a language model's text."""
    models = engine.models  # first, so that 503 comes before other errors
    engine.worker.refuse_if_full()  # before the pictures are read, so that refusing is cheap
    body = await read_json_with_pictures(request, ChatRequest)
    urls = picture_urls(body.messages)
    if not urls and body.model in models.language_models:
        return await continue_chat(request, engine, settings, body, request_id)
    if not urls:
        raise EmptyBody(
            "the chat has no picture: put one into a message as a part "
            '{"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,..."}}'
        )
    captioner = models.find_captioner()
    form = form_of(body.response_format, texts(body.messages, but_of="assistant"))
    options = body.caption_options(
        n=body.n or 1,
        max_tokens=body.most_tokens,
        top_logprobs=(body.top_logprobs or 0) if body.logprobs else 0,
        tags=form.schema is not None,
    )
    pictures = await caption_pictures(request, engine, captioner, urls, options)
    common = Completion.common("chatcmpl", request_id, captioner.config.name)
    builder = _ResponseBuilder(body, common, answers_of(pictures), form)
    if body.stream:
        events = builder.events()
        return EventStream(await first_of(events), events)
    return Response(builder.response().model_dump_json(), media_type="application/json")


class _ResponseBuilder:
    """Builds the response, whole or as events; `common` is what every response starts with."""

    def __init__(
        self, body: ChatRequest, common: dict[str, Any], answers: Sequence[Answer], form: Form
    ) -> None:
        self._body = body
        self._common = common
        self._answers = answers
        self._contents = [answer.write(form) for answer in answers]

    def response(self) -> ChatCompletion:
        choices = [
            ChatChoice(
                message=ChatMessage(content=content),
                finish_reason=answer.finish_reason,
                **self._details(i, answer),
            )
            for i, (content, answer) in enumerate(zip(self._contents, self._answers, strict=True))
        ]
        return ChatCompletion(**self._common, choices=choices, usage=self._usage)

    async def events(self) -> AsyncGenerator[bytes]:
        for i, answer in enumerate(self._answers):
            role = ChatDelta(role="assistant", content="")
            yield self._event(ChatChunkChoice(index=i, delta=role))
            text = ChatDelta(content=self._contents[i])
            yield self._event(ChatChunkChoice(delta=text, **self._details(i, answer)))
            end = ChatChunkChoice(index=i, delta=ChatDelta(), finish_reason=answer.finish_reason)
            yield self._event(end)
        if self._body.streams_usage:
            yield self._event(usage=self._usage)
        yield encode_event("[DONE]")

    def _event(self, *choices: ChatChunkChoice, usage: Usage | None = None) -> bytes:
        chunk = ChatChunk(**self._common, choices=list(choices), usage=usage)
        return encode_event(chunk.model_dump_json())

    def _details(self, index: int, answer: Answer) -> dict[str, Any]:
        logprobs = None
        if self._body.logprobs:
            tokens = [
                ChatTokenLogprob.of(
                    before + token.token,
                    token.logprob,
                    # Nothing stands before the end.
                    [
                        (top.token if top.token == END else before + top.token, top.logprob)
                        for top in token.top or ()
                    ],
                )
                for before, token in answer.tokens()
            ]
            logprobs = ChatLogprobs(content=tokens)
        return {"index": index, "logprobs": logprobs, "unrolled": answer.details}

    @property
    def _usage(self) -> Usage:
        tokens = sum(answer.num_tokens for answer in self._answers)
        return Usage(prompt_tokens=0, completion_tokens=tokens, total_tokens=tokens)
