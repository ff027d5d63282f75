"""`POST /api/generate` and `/api/chat`: pictures are captioned, prompts are continued."""

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from structlog.contextvars import bind_contextvars

from app.errors import EmptyBody, InvalidParameter
from app.http.bodies import check_length, json_body
from app.http.compat.bodies import read_any_json
from app.http.compat.ollama.answers import Part, Tally, caption_pictures, nanoseconds, write_text
from app.http.compat.ollama.documentation import error_messages
from app.http.compat.ollama.names import find_model, has_model
from app.http.compat.ollama.options import decoding_of, sampling_of, seed_of
from app.http.compat.ollama.schemas import (
    ChatRequest,
    ChatResponse,
    GenerateRequest,
    GenerateResponse,
    Message,
    Options,
)
from app.http.compat.prompt_schema import PLAIN_SCHEMA, find_schema
from app.http.deps import EngineDep
from app.http.disconnect import cancel_on_disconnect
from app.http.streaming import LineStream, encode_line
from app.http.uploads import check_picture, from_base64
from app.serving.engine import Engine
from model.config import CaptionerConfig
from model.text.request import GenerationRequest

__all__ = ["router"]

router = APIRouter(prefix="/api", tags=["Ollama"])

_MAX_PICTURES = 32  # of one request; they are captioned one after the other

_UNLOAD = {0, "0", "0s", "0m", "0h"}


def _documentation(name: str) -> dict[int | str, dict[str, Any]]:
    """Describe the answers of a route: one JSON object, or a line for each part."""
    lines = {"application/x-ndjson": {"schema": {"$ref": f"#/components/schemas/{name}"}}}
    described = {"description": "The answer; lines of JSON unless `stream` is false."}
    return {
        200: described | {"content": lines},
        **error_messages(400, 404, 408, 413, 429, 503),
    }


@router.post(
    "/generate",
    summary="Caption pictures, or continue a prompt",
    response_model=GenerateResponse,
    responses=_documentation("GenerateResponse"),
    openapi_extra=json_body(GenerateRequest, "The pictures or the prompt."),
)
async def generate(request: Request, engine: EngineDep) -> Response:
    """Caption the pictures in `images`; without any, let a language model continue `prompt`."""
    _ = engine.models  # first, so that 503 comes before any error in the body
    body = await read_any_json(request, GenerateRequest)
    texts = [body.prompt or "", body.system or ""]
    return await _Exchange(request, engine, body).answer(texts, body.images or [])


@router.post(
    "/chat",
    summary="Caption the pictures of a conversation, or continue it",
    response_model=ChatResponse,
    responses=_documentation("ChatResponse"),
    openapi_extra=json_body(ChatRequest, "The conversation."),
)
async def chat(request: Request, engine: EngineDep) -> Response:
    """Caption the latest pictures; without any, let a language model continue the last message."""
    _ = engine.models
    body = await read_any_json(request, ChatRequest)
    texts = [message.content or "" for message in reversed(body.messages)] or [""]
    return await _Exchange(request, engine, body).answer(texts, _latest_pictures(body.messages))


def _latest_pictures(messages: Sequence[Message]) -> list[str]:
    """Return the pictures since the last answer, or else those of the last message with any."""
    recent: list[str] = []
    for message in reversed(messages):
        if message.role == "assistant" and recent:
            break
        recent = [*(message.images or []), *recent]
    return recent


class _Exchange:
    """A request and its answer, in the shape of either route."""

    def __init__(
        self, request: Request, engine: Engine, body: GenerateRequest | ChatRequest
    ) -> None:
        self._started = time.perf_counter()
        self._request = request
        self._engine = engine
        self._body = body
        self._options = body.options or Options()
        self._tally = Tally()

    async def answer(self, texts: Sequence[str], images: Sequence[str]) -> Response:
        """Answer; of the texts, the first is what a language model continues."""
        if images:
            parts = await self._captions(texts, images)
        elif texts[0]:
            parts = await self._text(texts[0])
        else:
            return await self._load()
        if self._body.stream is False:
            return await cancel_on_disconnect(self._request, self._whole(parts))
        lines = self._lines(parts)
        # Wait for the first line here, so that an error until then has its own status.
        first = await cancel_on_disconnect(self._request, _first(lines))
        return LineStream(first, lines)

    async def _captions(self, texts: Sequence[str], images: Sequence[str]) -> AsyncGenerator[Part]:
        models, name = self._engine.models, self._body.model
        if has_model(models, name) and find_model(models, name) is not models.captioner:
            raise InvalidParameter(
                f"model: {name!r} is a language model and sees no pictures: ask the captioner"
            )
        captioner = models.find_captioner()  # vision models of any other name, such as llava
        if len(images) > _MAX_PICTURES:
            raise InvalidParameter(f"images: at most {_MAX_PICTURES} at once, not {len(images)}")
        decoding = decoding_of(self._options, captioner.config.decoding)
        schema = self._schema("\n".join(texts))
        self._engine.worker.refuse_if_full()
        pictures = await to_thread.run_sync(_decode, images, self._engine.settings.max_upload_bytes)
        bind_contextvars(pictures=len(pictures), stream=self._body.stream is not False)
        return caption_pictures(
            self._engine,
            captioner,
            pictures,
            decoding,
            self._tally,
            schema=schema,
            top_logprobs=self._top_logprobs,
        )

    async def _text(self, prompt: str) -> AsyncGenerator[Part]:
        engine, settings, options = self._engine, self._engine.settings, self._options
        config = find_model(engine.models, self._body.model).config
        if isinstance(config, CaptionerConfig):
            raise InvalidParameter(
                f"{config.name!r} describes pictures: send one in `images`, or ask a language model"
            )
        if self._body.format:
            raise InvalidParameter("format: a language model here writes no JSON")
        check_length("prompt", prompt, settings.max_text_length)
        sampling = sampling_of(options, config.sampling, settings.max_tokens)
        stop = tuple(options.stop or ())
        language_model = await self._load_language_model(config.name)
        self._tally.prompt_eval_count = len(await to_thread.run_sync(language_model.encode, prompt))
        bind_contextvars(model=config.name, stream=self._body.stream is not False)
        generation = GenerationRequest(
            prompt, sampling, 1, seed_of(options), stop, self._top_logprobs
        )
        return write_text(engine, language_model, generation, self._tally)

    async def _load(self) -> Response:
        """Answer a request without a prompt, by which clients load a model or unload it."""
        config = find_model(self._engine.models, self._body.model).config
        unload = self._body.keep_alive in _UNLOAD
        if not unload and not isinstance(config, CaptionerConfig):
            await self._load_language_model(config.name)
        reason = "unload" if unload else "load"
        return _json(self._response("", done=True, done_reason=reason))

    async def _load_language_model(self, name: str) -> Any:
        started = time.perf_counter()
        language_model = await self._engine.language_model(name)
        self._tally.load_duration = nanoseconds(1000 * (time.perf_counter() - started))
        return language_model

    @property
    def _top_logprobs(self) -> int:
        return (self._body.top_logprobs or 0) if self._body.logprobs else 0

    def _schema(self, prompt: str) -> dict[str, Any] | None:
        if self._body.format == "json":
            return find_schema(prompt) or PLAIN_SCHEMA
        return self._body.format if isinstance(self._body.format, dict) else None

    async def _whole(self, parts: AsyncGenerator[Part]) -> Response:
        async with aclosing(parts):
            all_parts = [part async for part in parts]
        text = "".join(part.text for part in all_parts)
        logprobs = [logprob for part in all_parts for logprob in part.logprobs]
        return _json(self._response(text, logprobs=logprobs, **self._totals()))

    async def _lines(self, parts: AsyncGenerator[Part]) -> AsyncGenerator[bytes]:
        async with aclosing(parts):
            async for part in parts:
                if part.text or part.logprobs:
                    line = self._response(part.text, logprobs=part.logprobs, done=False)
                    yield encode_line(line.model_dump_json(exclude_none=True))
        yield encode_line(self._response("", **self._totals()).model_dump_json(exclude_none=True))

    def _totals(self) -> dict[str, Any]:
        total = nanoseconds(1000 * (time.perf_counter() - self._started))
        return asdict(self._tally) | {"done": True, "total_duration": total}

    def _response(self, text: str, **fields: Any) -> GenerateResponse | ChatResponse:
        if not self._body.logprobs:
            fields.pop("logprobs", None)
        fields |= {"model": self._body.model, "created_at": datetime.now(UTC).isoformat()}
        if isinstance(self._body, ChatRequest):
            return ChatResponse(message=Message(role="assistant", content=text), **fields)
        return GenerateResponse(response=text, **fields)


def _json(response: GenerateResponse | ChatResponse) -> Response:
    return JSONResponse(response.model_dump(exclude_none=True))


def _decode(images: Sequence[str], max_bytes: int) -> list[bytes]:
    pictures = []
    for i, text in enumerate(images):
        if not (data := from_base64(text)):
            raise EmptyBody(f"images[{i}] is empty: send the file in base64")
        pictures.append(check_picture(data, max_bytes))
    return pictures


async def _first(lines: AsyncGenerator[bytes]) -> bytes:
    return await anext(lines)
