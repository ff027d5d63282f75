"""What every route needs that has a language model write: from options to the response."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Protocol

from anyio import to_thread
from starlette.responses import Response

from app.errors import InvalidParameter
from app.http.bodies import check_length
from app.http.disconnect import cancel_on_disconnect
from app.http.schemas.texts import Usage
from app.http.streaming import EventStream, first_of
from app.serving.results import ModelTiming
from model.seeds import draw_seed
from model.text.deltas import TextAssembler
from model.text.request import GenerationRequest

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence

    from pydantic import BaseModel
    from starlette.requests import Request

    from app.serving.engine import Engine
    from app.serving.results import GenerationChunk
    from app.settings import Settings
    from model.config import SamplingConfig
    from model.text.deltas import TextDelta, TextPart
    from model.text.language_model import LanguageModel

__all__ = [
    "ResponseBuilder",
    "TextGeneration",
    "generation_request",
    "respond_or_stream",
    "stream_events",
]


def generation_request(
    default: SamplingConfig,
    options: Mapping[str, Any],
    settings: Settings,
    *,
    prompt: str,
    n: int = 1,
    seed: int | None = None,
    stop: Sequence[str] | None = None,
    top_logprobs: int | None = None,
) -> GenerationRequest:
    """Merge a request's options into the model's own, and check the service's limits.

    Args:
        default: the model's own sampling options.
        options: the request's, by their names in `SamplingConfig`; None changes nothing.
        settings: the limits.
        prompt: what the texts continue.
        n: how many texts.
        seed: drawn at random if None.
        stop: a text ends before the first of these.
        top_logprobs: how many of the likeliest tokens to report.

    Raises:
        TextTooLong: the prompt is.
        InvalidParameter: the texts would be too long, or an option is out of range.
    """
    check_length("prompt", prompt, settings.max_text_length)
    sampling = _sampling(default, options, settings.max_tokens)
    _check_total(n, sampling.max_tokens, settings.max_request_tokens)
    return GenerationRequest(
        prompt,
        sampling,
        n,
        draw_seed() if seed is None else seed,
        tuple(stop or ()),
        top_logprobs or 0,
    )


class TextGeneration:
    """Texts that are being generated for a request, and the count of their tokens.

    Args:
        engine: generates them.
        language_model: writes them.
        request: what was asked for.
        prompt_tokens: the prompt's length.
        echo: whether each text starts with the prompt.
    """

    def __init__(
        self,
        engine: Engine,
        language_model: LanguageModel,
        request: GenerationRequest,
        prompt_tokens: int,
        *,
        echo: bool,
    ) -> None:
        self.request = request
        self._engine = engine
        self._language_model = language_model
        self._assembler = TextAssembler(request.prompt if echo else "")
        self._unfinished = request.n
        self._prompt_tokens = prompt_tokens
        self._completion_tokens = 0

    @classmethod
    async def prepare(
        cls, engine: Engine, name: str, request: GenerationRequest, *, echo: bool = False
    ) -> TextGeneration:
        """Load the language model of this name if needed, and count the prompt's tokens.

        Raises:
            Overloaded, Unavailable: as in `Engine.language_model`.
        """
        language_model = await engine.language_model(name)
        tokens = await to_thread.run_sync(language_model.encode, request.prompt)
        return cls(engine, language_model, request, len(tokens), echo=echo)

    @property
    def finished(self) -> bool:
        """Whether every text has ended."""
        return self._unfinished == 0

    @property
    def usage(self) -> Usage:
        """The tokens so far."""
        return Usage(
            prompt_tokens=self._prompt_tokens,
            completion_tokens=self._completion_tokens,
            total_tokens=self._prompt_tokens + self._completion_tokens,
        )

    async def parts(self) -> AsyncGenerator[tuple[list[TextPart], ModelTiming]]:
        """Generate, and yield what each time slice adds to the texts.

        Raises:
            Overloaded, DeadlineExceeded: as in `Engine.generate`.
        """
        async with aclosing(self._chunks()) as chunks:
            async for chunk in chunks:
                yield self._join(chunk.deltas), chunk.timing

    async def whole(self) -> tuple[list[TextPart], ModelTiming]:
        """Generate everything, and return whole texts; raises as `parts`."""
        deltas, timing = [], ModelTiming(0, 0)
        async with aclosing(self._chunks()) as chunks:
            async for chunk in chunks:
                deltas += chunk.deltas
                timing = chunk.timing
        return self._join(deltas), timing

    def _chunks(self) -> AsyncGenerator[GenerationChunk]:
        return self._engine.generate(self._language_model, self.request)

    def _join(self, deltas: Iterable[TextDelta]) -> list[TextPart]:
        parts = self._assembler.join(deltas)
        self._completion_tokens += sum(len(part.tokens) for part in parts)
        self._unfinished -= sum(part.finish_reason is not None for part in parts)
        return parts


class ResponseBuilder(Protocol):
    """Builds the response of a generation, whole or as server-sent events."""

    async def response(self) -> BaseModel:
        """Generate everything."""
        ...

    def events(self) -> AsyncGenerator[bytes]:
        """Generate, and yield an event for each part."""
        ...


async def respond_or_stream(
    request: Request, builder: ResponseBuilder, *, stream: bool
) -> Response:
    """Answer with the whole response as JSON, or with its events.

    Raises:
        ClientDisconnected: the client disconnected before the response began.
    """
    if stream:
        return await stream_events(request, builder.events())
    whole = await cancel_on_disconnect(request, builder.response())
    return Response(whole.model_dump_json(), media_type="application/json")


async def stream_events(request: Request, events: AsyncGenerator[bytes]) -> EventStream:
    """Answer with events, once there is a first: until then, an error has its own status.

    Raises:
        ClientDisconnected: the client disconnected before the first event.
    """
    return EventStream(await cancel_on_disconnect(request, first_of(events)), events)


def _sampling(
    default: SamplingConfig, options: Mapping[str, Any], max_tokens: int
) -> SamplingConfig:
    """Merge the request's options into the model's own; the service caps the length."""
    requested = options.get("max_tokens")
    if requested is None:
        requested = min(default.max_tokens, max_tokens)
    if requested > max_tokens:
        raise InvalidParameter(f"max_tokens: {requested} are too many: at most {max_tokens}")
    try:
        return default.merge(**{**options, "max_tokens": requested})
    except ValueError as error:
        raise InvalidParameter(str(error)) from error


def _check_total(n: int, max_tokens: int, limit: int) -> None:
    if n * max_tokens > limit:
        raise InvalidParameter(
            f"{n} texts of up to {max_tokens:,} tokens are {n * max_tokens:,} tokens: at most "
            f"{limit:,} are written for a request, so lower n or max_tokens"
        )
