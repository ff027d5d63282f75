"""`POST /generate-text`: a prompt in, what may follow it out; whole, or while it is written."""

import math
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Request
from structlog.contextvars import bind_contextvars

from app.errors import InvalidParameter
from app.http.bodies import check_length, json_body, read_json
from app.http.deps import EngineDep, RequestId, SettingsDep, error_responses
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
from app.serving.engine import ModelTiming, Slice
from app.serving.jobs import GenerationRequest
from model.decoding.options import resolve_sampling
from model.text.assembler import TextAssembler, TextPart, draw_seed

__all__ = ["router"]

router = APIRouter(tags=["texts"])

_SAMPLING = ("max_tokens", "temperature", "top_k", "top_p", "no_repeat_ngram_size")

_CHUNK = TextChunk.model_json_schema(
    mode="serialization", ref_template="#/components/schemas/{model}"
)
_CHUNK.pop("$defs")

_EVENTS: dict[str, Any] = {
    "description": "The texts; with `stream`, server-sent events: each one's `data` is a chunk, "
    "the last one's is `[DONE]`.",
    "content": {"text/event-stream": {"schema": _CHUNK}},
}


@router.post(
    "/generate-text",
    summary="Write text",
    response_model=TextResponse,
    response_model_exclude_unset=True,
    responses={200: _EVENTS, **error_responses(400, 404, 413, 415, 422, 429, 503)},
    openapi_extra=json_body(TextRequest, "What to write."),
)
async def generate_text(
    request: Request, engine: EngineDep, settings: SettingsDep, request_id: RequestId
) -> TextResponse | EventStream:
    """Go on from a prompt, with the log-probability of every text and, if asked, every token."""
    models = engine.models
    asked = await read_json(request, TextRequest, settings.max_text_length)
    config = models.find_language_model(asked.model).config
    check_length("prompt", asked.prompt, settings.max_text_length)
    try:
        sampling = resolve_sampling(
            config.sampling,
            most_tokens=settings.max_tokens,
            **asked.model_dump(include=set(_SAMPLING)),
        )
    except ValueError as error:
        raise InvalidParameter(str(error)) from error
    seed = draw_seed() if asked.seed is None else asked.seed
    order = GenerationRequest(
        asked.prompt, asked.n, seed, tuple(asked.stop or ()), asked.logprobs or 0, sampling
    )
    bind_contextvars(model=config.name, n=asked.n, stream=asked.stream)
    language_model = await engine.language_model(config.name)
    answer = _Answer(
        asked,
        {
            "model": config.name,
            "model_version": config.version,
            "request_id": request_id,
            "seed": seed,
        },
        prompt_tokens=len(await to_thread.run_sync(language_model.encode, asked.prompt)),
    )
    slices = engine.write(language_model, order)
    if not asked.stream:
        return await cancel_on_disconnect(request, answer.whole(slices))
    events = answer.events(slices)
    # The first slice now: who is sent away is told so by the status.
    first = await cancel_on_disconnect(request, _first_of(events))
    return EventStream(first, events)


class _Answer:
    """Puts slices into the form that was asked for; `head` is what each answer begins with."""

    def __init__(self, asked: TextRequest, head: dict[str, Any], *, prompt_tokens: int) -> None:
        self._with_logprobs = asked.logprobs
        self._joiner = TextAssembler(asked.prompt if asked.echo else "")
        self._texts = asked.n
        self._head = head
        self._prompt_tokens = prompt_tokens
        self._written = 0

    async def whole(self, slices: AsyncGenerator[Slice]) -> TextResponse:
        pieces, timing = [], None
        async with aclosing(slices):
            async for written in slices:
                pieces += written.pieces
                timing = written.timing
        choices = self._choices(self._joiner.join(pieces))
        return TextResponse(**self._head, choices=choices, **self._end(timing))

    async def events(self, slices: AsyncGenerator[Slice]) -> AsyncGenerator[bytes]:
        async with aclosing(slices):
            async for written in slices:
                choices = self._choices(self._joiner.join(written.pieces))
                self._texts -= sum(choice.finish_reason is not None for choice in choices)
                end = {} if self._texts else self._end(written.timing)
                if choices:
                    chunk = TextChunk(**self._head, choices=choices, **end)
                    yield encode_event(chunk.model_dump_json(exclude_unset=True))
        yield encode_event("[DONE]")

    def _end(self, timing: ModelTiming | None) -> dict[str, Any]:
        usage = Usage(
            prompt_tokens=self._prompt_tokens,
            completion_tokens=self._written,
            total_tokens=self._prompt_tokens + self._written,
        )
        return {"usage": usage, "timing_ms": ModelTimingResult.model_validate(timing)}

    def _choices(self, parts: Iterable[TextPart]) -> list[TextChoice]:
        return [self._choice(part) for part in parts]

    def _choice(self, part: TextPart) -> TextChoice:
        self._written += len(part.tokens)
        fields: dict[str, Any] = {}
        if self._with_logprobs is not None:
            fields["logprobs"] = TokenLogprobs(
                tokens=part.tokens,
                token_logprobs=part.logprobs,
                top_logprobs=part.top if self._with_logprobs else None,
                text_offset=part.offsets,
            )
        return TextChoice(
            index=part.index,
            text=part.text,
            finish_reason=part.finish_reason,
            logprob=math.fsum(part.logprobs),
            **fields,
        )


async def _first_of(events: AsyncGenerator[bytes]) -> bytes:
    return await anext(events)
