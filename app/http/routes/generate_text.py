"""`POST /generate-text`: a prompt in, its continuation out; whole, or streamed."""

import math
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import fields
from typing import Any

from fastapi import APIRouter, Request
from structlog.contextvars import bind_contextvars

from app.http.bodies import json_body, read_json
from app.http.deps import EngineDep, NoQuery, RequestId, SettingsDep, error_responses
from app.http.disconnect import cancel_on_disconnect
from app.http.generation import TextGeneration, generation_request, stream_events
from app.http.schemas.results import ModelTimingResult
from app.http.schemas.texts import (
    TextChoice,
    TextChunk,
    TextRequest,
    TextResponse,
    TokenLogprobs,
)
from app.http.streaming import EventStream, encode_event
from app.serving.results import ModelTiming
from model.config import SamplingConfig
from model.text.deltas import TextPart

__all__ = ["router"]

router = APIRouter(tags=["texts"], dependencies=[NoQuery])

_CHUNK = TextChunk.model_json_schema(
    mode="serialization", ref_template="#/components/schemas/{model}"
)
_CHUNK.pop("$defs")

_EVENTS: dict[str, Any] = {
    "description": "The texts. With `stream`, server-sent events: the `data` of each is a chunk, "
    "that of the last is `[DONE]`.",
    "content": {"text/event-stream": {"schema": _CHUNK}},
}


@router.post(
    "/generate-text",
    summary="Generate text",
    response_model=TextResponse,
    response_model_exclude_unset=True,
    responses={200: _EVENTS, **error_responses(400, 404, 408, 413, 415, 422, 429, 503)},
    openapi_extra=json_body(TextRequest, "What to generate."),
)
async def generate_text(
    request: Request, engine: EngineDep, settings: SettingsDep, request_id: RequestId
) -> TextResponse | EventStream:
    """Continue a prompt, with the log-probability of every text and, on request, every token."""
    models = engine.models  # first, so that 503 comes before any error in the body
    body = await read_json(request, TextRequest, settings.max_text_length)
    config = models.find_language_model(body.model).config
    generation_request_ = generation_request(
        config.sampling,
        {field.name: getattr(body, field.name) for field in fields(SamplingConfig)},
        settings,
        prompt=body.prompt,
        n=body.n,
        seed=body.seed,
        stop=body.stop,
        top_logprobs=body.logprobs,
    )
    bind_contextvars(model=config.name, n=body.n, stream=body.stream)
    generation = await TextGeneration.prepare(
        engine, config.name, generation_request_, echo=body.echo
    )
    builder = _ResponseBuilder(
        generation,
        {
            "model": config.name,
            "model_version": config.version,
            "request_id": request_id,
            "seed": generation_request_.seed,
        },
        logprobs=body.logprobs,
    )
    if not body.stream:
        return await cancel_on_disconnect(request, builder.response())
    return await stream_events(request, builder.events())


class _ResponseBuilder:
    """Builds the response, whole or as events; `common` is what every response starts with."""

    def __init__(
        self, generation: TextGeneration, common: dict[str, Any], *, logprobs: int | None
    ) -> None:
        self._generation = generation
        self._common = common
        self._logprobs = logprobs

    async def response(self) -> TextResponse:
        parts, timing = await self._generation.whole()
        choices = [self._choice(part) for part in parts]
        return TextResponse(**self._common, choices=choices, **self._totals(timing))

    async def events(self) -> AsyncGenerator[bytes]:
        async with aclosing(self._generation.parts()) as slices:
            async for parts, timing in slices:
                choices = [self._choice(part) for part in parts]
                totals = self._totals(timing) if self._generation.finished else {}
                if choices:
                    event = TextChunk(**self._common, choices=choices, **totals)
                    yield encode_event(event.model_dump_json(exclude_unset=True))
        yield encode_event("[DONE]")

    def _totals(self, timing: ModelTiming) -> dict[str, Any]:
        timing_ms = ModelTimingResult.model_validate(timing)
        return {"usage": self._generation.usage, "timing_ms": timing_ms}

    def _choice(self, part: TextPart) -> TextChoice:
        fields: dict[str, Any] = {}
        if self._logprobs is not None:
            fields["logprobs"] = TokenLogprobs.of(part, top=self._logprobs > 0)
        return TextChoice(
            index=part.index,
            text=part.text,
            finish_reason=part.finish_reason,
            logprob=math.fsum(part.logprobs),
            **fields,
        )
