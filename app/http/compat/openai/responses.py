"""`POST /v1/responses`: chats about pictures in OpenAI's newer form, without tools or memory."""

import json
import time
from collections.abc import AsyncGenerator, Iterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from app.errors import EmptyBody
from app.http.bodies import json_body, read_json_with_pictures
from app.http.compat.openai.answers import Answer, CaptionDetails, answers_of
from app.http.compat.openai.captions import caption_pictures
from app.http.compat.openai.forms import ResponseFormat, form_of
from app.http.compat.openai.messages import Messages, picture_urls, texts
from app.http.compat.openai.requests import (
    ANY_NAME,
    PICTURE,
    PROMPTS,
    DrawingOptions,
    Limit,
    positive,
)
from app.http.compat.openai.schemas import error_responses, is_empty
from app.http.deps import EngineDep, RequestId
from app.http.streaming import EventStream, encode_event, first_of

__all__ = [
    "CachedTokens",
    "Incomplete",
    "OutputMessage",
    "OutputText",
    "ReasoningTokens",
    "ResponseObject",
    "ResponseUsage",
    "ResponsesRequest",
    "TextOptions",
    "router",
]

router = APIRouter(tags=["OpenAI's API"])

_EXAMPLE: dict[str, Any] = {
    "model": "gpt-4o",
    "input": [
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "Describe this picture."},
                {"type": "input_image", "image_url": PICTURE},
            ],
        }
    ],
}


class TextOptions(BaseModel):
    """The form of the answer."""

    format: ResponseFormat | None = None


class ResponsesRequest(DrawingOptions):
    """A conversation with pictures, as OpenAI's responses API has it."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    input: Messages
    model: Annotated[str | None, Field(max_length=256, description=ANY_NAME)] = None
    instructions: str | None = None
    max_output_tokens: Limit = None
    text: TextOptions | None = None
    stream: Annotated[bool | None, Field(description="Send server-sent events.")] = None


class OutputText(BaseModel):
    """The answer."""

    type: Literal["output_text"] = "output_text"
    text: str = Field(description="A line for each picture, or JSON if that was asked for.")
    annotations: list[None] = []
    unrolled: list[CaptionDetails] = Field(
        default=[],
        exclude_if=is_empty,
        description="Ours: how sure the captioner is, for each picture.",
    )


class OutputMessage(BaseModel):
    """The only message of an answer."""

    id: str
    type: Literal["message"] = "message"
    role: Literal["assistant"] = "assistant"
    status: Literal["in_progress", "completed", "incomplete"]
    content: list[OutputText]


class CachedTokens(BaseModel):
    """Nothing is cached."""

    cached_tokens: Literal[0] = 0
    cache_write_tokens: Literal[0] = 0


class ReasoningTokens(BaseModel):
    """Nothing is thought over."""

    reasoning_tokens: Literal[0] = 0


class ResponseUsage(BaseModel):
    """The captions' tokens, end tokens included; the captioner reads no text."""

    input_tokens: Literal[0] = 0
    input_tokens_details: CachedTokens = CachedTokens()
    output_tokens: int
    output_tokens_details: ReasoningTokens = ReasoningTokens()
    total_tokens: int


class Incomplete(BaseModel):
    """Why an answer is incomplete: a caption was cut off."""

    reason: Literal["max_output_tokens"] = "max_output_tokens"


class ResponseObject(BaseModel):
    """An answer to a conversation."""

    id: str
    object: Literal["response"] = "response"
    created_at: int = Field(description="In seconds since 1970.")
    status: Literal["in_progress", "completed", "incomplete"]
    error: None = None
    incomplete_details: Incomplete | None = None
    instructions: str | None = None
    metadata: dict[str, str] = {}
    model: str = Field(description="The captioner's name, whatever name was asked for.")
    output: list[OutputMessage]
    parallel_tool_calls: Literal[False] = False
    temperature: float | None = None
    tool_choice: Literal["none"] = "none"
    tools: list[None] = []
    top_p: float | None = None
    usage: ResponseUsage | None = None


_EVENTS: dict[str, Any] = {
    "description": "The captions. With `stream`, server-sent events from `response.created` to "
    "`response.completed`, or `response.incomplete` if a caption was cut off.",
    "content": {"text/event-stream": {"schema": {"type": "string"}}},
}


@router.post(
    "/v1/responses",
    summary="Caption pictures in a conversation (OpenAI)",
    description=f"The same as `POST /v1/chat/completions`, in OpenAI's newer form. {PROMPTS} There "
    "is no memory: `previous_response_id` is ignored, so send the pictures each time.",
    response_model=ResponseObject,
    responses={200: _EVENTS, **error_responses(400, 404, 408, 413, 429, 503)},
    openapi_extra=json_body(ResponsesRequest, "A conversation that shows pictures."),
)
async def respond(request: Request, engine: EngineDep, request_id: RequestId) -> Response:
    """Answer a conversation with captions."""
    captioner = engine.models.find_captioner()  # first, so that 503 comes before other errors
    engine.worker.refuse_if_full()  # before the pictures are read, so that refusing is cheap
    body = await read_json_with_pictures(request, ResponsesRequest)
    urls = picture_urls(body.input)
    if not urls:
        raise EmptyBody(
            "the input has no picture: put one into a message as a part "
            '{"type": "input_image", "image_url": "data:image/jpeg;base64,..."}'
        )
    prompts = [body.instructions or "", *texts(body.input, but_of="assistant")]
    form = form_of(None if body.text is None else body.text.format, prompts)
    options = body.caption_options(
        max_tokens=positive(body.max_output_tokens), tags=form.schema is not None
    )
    pictures = await caption_pictures(request, engine, captioner, urls, options)
    (answer,) = answers_of(pictures)
    response = _response(body, request_id, captioner.config.name, answer, answer.write(form))
    if body.stream:
        events = _stream(response)
        return EventStream(await first_of(events), events)
    return Response(response.model_dump_json(), media_type="application/json")


def _response(
    body: ResponsesRequest, request_id: str, model: str, answer: Answer, content: str
) -> ResponseObject:
    finished = answer.finish_reason == "stop"
    status: Literal["completed", "incomplete"] = "completed" if finished else "incomplete"
    text = OutputText(text=content, unrolled=answer.details)
    message = OutputMessage(id=f"msg_{request_id}", status=status, content=[text])
    tokens = answer.num_tokens
    return ResponseObject(
        id=f"resp_{request_id}",
        created_at=int(time.time()),
        status=status,
        incomplete_details=None if finished else Incomplete(),
        instructions=body.instructions,
        model=model,
        output=[message],
        temperature=body.temperature,
        top_p=body.top_p,
        usage=ResponseUsage(output_tokens=tokens, total_tokens=tokens),
    )


def _events(response: ResponseObject) -> Iterator[dict[str, Any]]:
    """Yield the events of a stream; the caption is a single delta, since it is known at once."""
    begun = response.model_copy(update={"status": "in_progress", "output": [], "usage": None})
    (message,) = response.output
    (part,) = message.content
    empty = message.model_copy(update={"status": "in_progress", "content": []})
    item = {"output_index": 0}
    place = {"item_id": message.id, "output_index": 0, "content_index": 0}
    yield {"type": "response.created", "response": begun}
    yield {"type": "response.output_item.added", **item, "item": empty}
    yield {"type": "response.content_part.added", **place, "part": OutputText(text="")}
    yield {"type": "response.output_text.delta", **place, "delta": part.text, "logprobs": []}
    yield {"type": "response.output_text.done", **place, "text": part.text, "logprobs": []}
    yield {"type": "response.content_part.done", **place, "part": part}
    yield {"type": "response.output_item.done", **item, "item": message}
    yield {"type": f"response.{response.status}", "response": response}


async def _stream(response: ResponseObject) -> AsyncGenerator[bytes]:
    for number, event in enumerate(_events(response)):
        data = json.dumps(event | {"sequence_number": number}, default=BaseModel.model_dump)
        yield f"event: {event['type']}\n".encode() + encode_event(data)
