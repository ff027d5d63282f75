"""A chat without pictures that names a language model, which then continues the last message."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Literal

from fastapi import Request, Response
from structlog.contextvars import bind_contextvars

from app.http.compat.openai.messages import texts
from app.http.compat.openai.requests import ChatRequest
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
)
from app.http.generation import TextGeneration, generation_request, respond_or_stream
from app.http.schemas.texts import Usage
from app.http.streaming import encode_event
from app.serving.engine import Engine
from app.settings import Settings
from model.text.deltas import TextPart

__all__ = ["continue_chat"]


async def continue_chat(
    request: Request, engine: Engine, settings: Settings, body: ChatRequest, request_id: str
) -> Response:
    """Continue the last message with the language model that the chat names.

    Raises:
        TextTooLong, InvalidParameter: as in `generation_request`.
        Overloaded, DeadlineExceeded: as in `Engine.generate`.
    """
    config = engine.models.find_language_model(body.model).config
    generation = generation_request(
        config.sampling,
        {"max_tokens": body.most_tokens, "temperature": body.temperature, "top_p": body.top_p},
        settings,
        prompt="".join(texts(body.messages[-1:])),
        n=body.n or 1,
        seed=body.seed,
        stop=body.stop,
        top_logprobs=body.top_logprobs,
    )
    bind_contextvars(model=config.name, n=generation.n, stream=body.stream)
    common = Completion.common("chatcmpl", request_id, config.name)
    builder = _ResponseBuilder(
        await TextGeneration.prepare(engine, config.name, generation), body, common
    )
    return await respond_or_stream(request, builder, stream=bool(body.stream))


class _ResponseBuilder:
    """Builds the response, whole or as events; `common` is what every response starts with."""

    def __init__(
        self, generation: TextGeneration, body: ChatRequest, common: dict[str, Any]
    ) -> None:
        self._generation = generation
        self._body = body
        self._common = common

    async def response(self) -> ChatCompletion:
        parts, _ = await self._generation.whole()
        choices = [
            ChatChoice(
                index=part.index,
                message=ChatMessage(content=part.text),
                finish_reason=part.finish_reason or "length",
                logprobs=self._logprobs(part),
            )
            for part in parts
        ]
        return ChatCompletion(**self._common, choices=choices, usage=self._generation.usage)

    async def events(self) -> AsyncGenerator[bytes]:
        begun: set[int] = set()
        async with aclosing(self._generation.parts()) as slices:
            async for parts, _ in slices:
                for part in parts:
                    role: Literal["assistant"] | None = None if part.index in begun else "assistant"
                    begun.add(part.index)
                    yield self._event(
                        ChatChunkChoice(
                            index=part.index,
                            delta=ChatDelta(role=role, content=part.text),
                            finish_reason=part.finish_reason,
                            logprobs=self._logprobs(part),
                        )
                    )
        if self._body.streams_usage:
            yield self._event(usage=self._generation.usage)
        yield encode_event("[DONE]")

    def _event(self, *choices: ChatChunkChoice, usage: Usage | None = None) -> bytes:
        chunk = ChatChunk(**self._common, choices=list(choices), usage=usage)
        return encode_event(chunk.model_dump_json())

    def _logprobs(self, part: TextPart) -> ChatLogprobs | None:
        if not self._body.logprobs:
            return None
        top = part.top or [{}] * len(part.tokens)
        content = [
            ChatTokenLogprob.of(token, logprob, list(likeliest.items()))
            for token, logprob, likeliest in zip(part.tokens, part.logprobs, top, strict=True)
        ]
        return ChatLogprobs(content=content)
