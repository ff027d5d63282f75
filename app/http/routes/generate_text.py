"""`POST /generate-text`: a prompt in, its continuation out; whole, or streamed."""

import math
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from dataclasses import fields
from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Request
from structlog.contextvars import bind_contextvars

from app.errors import InvalidParameter
from app.http.bodies import check_length, json_body, read_json
from app.http.deps import EngineDep, NoQuery, RequestId, SettingsDep, error_responses
from app.http.disconnect import cancel_on_disconnect
from app.http.schemas.texts import (
    ModelTimingResult,
    TextChoice,
    TextChunk,
    TextRequest,
    TextResponse,
    TokenLogprobs,
    Usage,
)
from app.http.streaming import EventStream, encode_event
from app.serving.results import GenerationChunk, ModelTiming
from model.config import SamplingConfig
from model.seeds import draw_seed
from model.text.deltas import TextAssembler, TextPart
from model.text.request import GenerationRequest

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
    check_length("prompt", body.prompt, settings.max_text_length)
    sampling = _sampling(config.sampling, body, settings.max_tokens)
    _check_total(body.n, sampling.max_tokens, settings.max_request_tokens)
    seed = draw_seed() if body.seed is None else body.seed
    generation_request = GenerationRequest(
        body.prompt, sampling, body.n, seed, tuple(body.stop or ()), body.logprobs or 0
    )
    bind_contextvars(model=config.name, n=body.n, stream=body.stream)
    language_model = await engine.language_model(config.name)
    builder = _ResponseBuilder(
        body,
        {
            "model": config.name,
            "model_version": config.version,
            "request_id": request_id,
            "seed": seed,
        },
        prompt_tokens=len(await to_thread.run_sync(language_model.encode, body.prompt)),
    )
    chunks = engine.generate(language_model, generation_request)
    if not body.stream:
        return await cancel_on_disconnect(request, builder.response(chunks))
    events = builder.events(chunks)
    # Wait for the first event here, so that an error until then has its own status.
    first = await cancel_on_disconnect(request, _first(events))
    return EventStream(first, events)


def _sampling(default: SamplingConfig, body: TextRequest, max_tokens: int) -> SamplingConfig:
    """Merge the request's options into the model's own; the service caps the length."""
    options = {field.name: getattr(body, field.name) for field in fields(SamplingConfig)}
    if options["max_tokens"] is None:
        options["max_tokens"] = min(default.max_tokens, max_tokens)
    if options["max_tokens"] > max_tokens:
        raise InvalidParameter(
            f"max_tokens: {options['max_tokens']} are too many: at most {max_tokens}"
        )
    return default.merge(**options)


def _check_total(n: int, max_tokens: int, limit: int) -> None:
    if n * max_tokens > limit:
        raise InvalidParameter(
            f"{n} texts of up to {max_tokens:,} tokens are {n * max_tokens:,} tokens: at most "
            f"{limit:,} are written for a request, so lower n or max_tokens"
        )


class _ResponseBuilder:
    """Builds the response, whole or as events; `common` is what every response starts with."""

    def __init__(self, body: TextRequest, common: dict[str, Any], *, prompt_tokens: int) -> None:
        self._logprobs = body.logprobs
        self._assembler = TextAssembler(body.prompt if body.echo else "")
        self._unfinished = body.n
        self._common = common
        self._prompt_tokens = prompt_tokens
        self._completion_tokens = 0

    async def response(self, chunks: AsyncGenerator[GenerationChunk]) -> TextResponse:
        deltas, timing = [], None
        async with aclosing(chunks):
            async for chunk in chunks:
                deltas += chunk.deltas
                timing = chunk.timing
        choices = self._choices(self._assembler.join(deltas))
        return TextResponse(**self._common, choices=choices, **self._totals(timing))

    async def events(self, chunks: AsyncGenerator[GenerationChunk]) -> AsyncGenerator[bytes]:
        async with aclosing(chunks):
            async for chunk in chunks:
                choices = self._choices(self._assembler.join(chunk.deltas))
                self._unfinished -= sum(choice.finish_reason is not None for choice in choices)
                totals = {} if self._unfinished else self._totals(chunk.timing)
                if choices:
                    event = TextChunk(**self._common, choices=choices, **totals)
                    yield encode_event(event.model_dump_json(exclude_unset=True))
        yield encode_event("[DONE]")

    def _totals(self, timing: ModelTiming | None) -> dict[str, Any]:
        usage = Usage(
            prompt_tokens=self._prompt_tokens,
            completion_tokens=self._completion_tokens,
            total_tokens=self._prompt_tokens + self._completion_tokens,
        )
        return {"usage": usage, "timing_ms": ModelTimingResult.model_validate(timing)}

    def _choices(self, parts: Iterable[TextPart]) -> list[TextChoice]:
        return [self._choice(part) for part in parts]

    def _choice(self, part: TextPart) -> TextChoice:
        self._completion_tokens += len(part.tokens)
        fields: dict[str, Any] = {}
        if self._logprobs is not None:
            fields["logprobs"] = TokenLogprobs(
                tokens=part.tokens,
                token_logprobs=part.logprobs,
                top_logprobs=part.top if self._logprobs else None,
                text_offset=part.offsets,
            )
        return TextChoice(
            index=part.index,
            text=part.text,
            finish_reason=part.finish_reason,
            logprob=math.fsum(part.logprobs),
            **fields,
        )


async def _first(events: AsyncGenerator[bytes]) -> bytes:
    return await anext(events)
