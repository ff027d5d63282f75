"""`POST /v1/completions`: a prompt in, its continuations by a language model out."""

import math
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import fields
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError
from structlog.contextvars import bind_contextvars

from app.http.bodies import inline_schema, json_body, read_json
from app.http.compat.openai.requests import StreamOptions
from app.http.compat.openai.schemas import Completion, FinishReason, error_responses, is_empty
from app.http.deps import EngineDep, RequestId, SettingsDep
from app.http.generation import TextGeneration, generation_request, respond_or_stream
from app.http.schemas.texts import TextRequest, TokenLogprobs, Usage
from app.http.streaming import encode_event
from model.config import SamplingConfig
from model.text.deltas import TextPart

__all__ = [
    "CompletionChoice",
    "CompletionRequest",
    "Seed",
    "TextCompletion",
    "TextCompletionChunk",
    "TextDetails",
    "router",
]

router = APIRouter(tags=["OpenAI's API"])


def _only_text(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    if len(value) == 1 and isinstance(value[0], str):
        return value[0]
    raise PydanticCustomError("prompt", "should be one text, or a list of one: tokens are not read")


class CompletionRequest(TextRequest):
    """A prompt and sampling options. Parameters that are not listed are ignored.

    Options that are null or omitted take the model's defaults, see `GET /models/{name}`.
    """

    model_config = ConfigDict(extra="ignore", strict=False)

    prompt: Annotated[
        str,
        BeforeValidator(_only_text, json_schema_input_type=str | list[str]),
        Field(description="The text to continue, or a list of one; may be empty."),
    ] = ""
    stream_options: StreamOptions | None = None

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        return {name: value for name, value in values.items() if value is not None}

    @property
    def sampling_options(self) -> dict[str, Any]:
        """The options by their names in `SamplingConfig`."""
        return {field.name: getattr(self, field.name) for field in fields(SamplingConfig)}


class TextDetails(BaseModel):
    """How likely the language model finds a text."""

    logprob: float = Field(le=0, description="Sum of the generated tokens' log-probabilities.")


class Seed(BaseModel):
    """How the texts were drawn."""

    seed: int = Field(description="Repeat the request with this seed to get the same texts.")


class CompletionChoice(BaseModel):
    """A text, or the next part of a streamed one."""

    index: int = Field(ge=0)
    text: str
    logprobs: TokenLogprobs | None = Field(
        None, description="If requested; of the tokens that were written, not of an echoed prompt."
    )
    finish_reason: FinishReason | None
    unrolled: TextDetails = Field(description="Ours.")


class _TextCompletion(Completion):
    object: Literal["text_completion"] = "text_completion"
    choices: list[CompletionChoice]
    unrolled: Seed = Field(description="Ours.")


class TextCompletion(_TextCompletion):
    """The generated texts."""

    usage: Usage


class TextCompletionChunk(_TextCompletion):
    """A server-sent event: what was generated since the last one."""

    usage: Usage | None = Field(
        None,
        exclude_if=is_empty,
        description="In the last chunk, with `stream_options.include_usage`.",
    )


_EVENTS: dict[str, Any] = {
    "description": "The texts. With `stream`, server-sent events: the `data` of each is a chunk, "
    "that of the last is `[DONE]`.",
    "content": {
        "text/event-stream": {"schema": inline_schema(TextCompletionChunk, "serialization")}
    },
}


@router.post(
    "/v1/completions",
    summary="Generate text (OpenAI)",
    response_model=TextCompletion,
    responses={200: _EVENTS, **error_responses(400, 404, 408, 413, 429, 503)},
    openapi_extra=json_body(CompletionRequest, "What to generate."),
)
async def complete(
    request: Request, engine: EngineDep, settings: SettingsDep, request_id: RequestId
) -> Response:
    """Continue a prompt with a language model, as `POST /generate-text` does."""
    models = engine.models  # first, so that 503 comes before any error in the body
    body = await read_json(request, CompletionRequest, settings.max_text_length)
    config = models.find_language_model(body.model).config
    generation = generation_request(
        config.sampling,
        body.sampling_options,
        settings,
        prompt=body.prompt,
        n=body.n,
        seed=body.seed,
        stop=body.stop,
        top_logprobs=body.logprobs,
    )
    bind_contextvars(model=config.name, n=body.n, stream=body.stream)
    common = Completion.common("cmpl", request_id, config.name)
    builder = _ResponseBuilder(
        await TextGeneration.prepare(engine, config.name, generation, echo=body.echo), body, common
    )
    return await respond_or_stream(request, builder, stream=body.stream)


class _ResponseBuilder:
    """Builds the response, whole or as events; `common` is what every response starts with."""

    def __init__(
        self, generation: TextGeneration, body: CompletionRequest, common: dict[str, Any]
    ) -> None:
        self._generation = generation
        self._body = body
        self._common = common | {"unrolled": Seed(seed=generation.request.seed)}

    async def response(self) -> TextCompletion:
        parts, _ = await self._generation.whole()
        choices = [self._choice(part) for part in parts]
        return TextCompletion(**self._common, choices=choices, usage=self._generation.usage)

    async def events(self) -> AsyncGenerator[bytes]:
        async with aclosing(self._generation.parts()) as slices:
            async for parts, _ in slices:
                if parts:
                    yield self._event([self._choice(part) for part in parts])
        options = self._body.stream_options
        if options is not None and options.include_usage:
            yield self._event([], self._generation.usage)
        yield encode_event("[DONE]")

    def _event(self, choices: list[CompletionChoice], usage: Usage | None = None) -> bytes:
        chunk = TextCompletionChunk(**self._common, choices=choices, usage=usage)
        return encode_event(chunk.model_dump_json())

    def _choice(self, part: TextPart) -> CompletionChoice:
        wanted = self._body.logprobs
        return CompletionChoice(
            index=part.index,
            text=part.text,
            logprobs=None if wanted is None else TokenLogprobs.of(part, top=wanted > 0),
            finish_reason=part.finish_reason,
            unrolled=TextDetails(logprob=math.fsum(part.logprobs)),
        )
