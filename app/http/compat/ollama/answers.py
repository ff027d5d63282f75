"""What the models answer, part by part, for whole answers and for streams."""

from __future__ import annotations

import json
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from app.errors import InvalidParameter
from app.http.compat.structured import fill_schema
from model.text.deltas import TextAssembler

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence

    from app.serving.engine import Engine
    from app.serving.results import CaptionedPicture
    from model.captioning.caption import Caption
    from model.captioning.captioner import Captioner
    from model.config import DecodingConfig
    from model.text.language_model import LanguageModel
    from model.text.request import GenerationRequest

__all__ = ["Part", "Tally", "caption_pictures", "nanoseconds", "write_text"]


@dataclass(frozen=True)
class Part:
    """The next part of an answer, and the log-probabilities of its tokens as Ollama has them."""

    text: str
    logprobs: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Tally:
    """The totals of an answer; durations in nanoseconds."""

    done_reason: Literal["stop", "length"] = "stop"
    load_duration: int = 0
    prompt_eval_count: int = 0
    prompt_eval_duration: int = 0
    eval_count: int = 0
    eval_duration: int = 0

    def add_picture(self, captioned: CaptionedPicture) -> None:
        """Count a picture as a token of the prompt, and the tokens of its caption."""
        timing, caption = captioned.timing, captioned.captions[0]
        self.prompt_eval_count += 1
        self.prompt_eval_duration += nanoseconds(timing.total - timing.search)
        self.eval_count += len(caption.tokens)
        self.eval_duration += nanoseconds(timing.search)
        if not caption.finished:
            self.done_reason = "length"


async def caption_pictures(
    engine: Engine,
    captioner: Captioner,
    pictures: Sequence[bytes],
    decoding: DecodingConfig,
    tally: Tally,
    *,
    schema: dict[str, Any] | None,
    top_logprobs: int,
) -> AsyncGenerator[Part]:
    """Caption pictures one after the other: a line for each, or JSON for all of them.

    Raises:
        InvalidParameter: the schema cannot be filled.
        Overloaded, DeadlineExceeded, PictureError: as in `Engine.caption`.
    """
    captions: list[Caption] = []
    tags: dict[str, float] = {}
    tagged = schema is not None and captioner.has_tags
    for data in pictures:
        captioned = await engine.caption(
            captioner, data, decoding, top_logprobs=top_logprobs, tags=tagged
        )
        tally.add_picture(captioned)
        for tag in captioned.tags or ():
            tags[tag.word] = max(tag.probability, tags.get(tag.word, 0))
        caption = captioned.captions[0]
        if schema is None:
            before = "\n" if captions else ""
            yield Part(before + caption.text, list(_caption_logprobs(caption, before)))
        captions.append(caption)
    if schema is not None:
        yield Part(_as_json(schema, captions, tags))


async def write_text(
    engine: Engine, language_model: LanguageModel, request: GenerationRequest, tally: Tally
) -> AsyncGenerator[Part]:
    """Continue a prompt, a part for each time slice.

    Raises:
        Overloaded, DeadlineExceeded: as in `Engine.generate`.
    """
    assembler = TextAssembler()
    async with aclosing(engine.generate(language_model, request)) as chunks:
        async for chunk in chunks:
            tally.eval_duration = nanoseconds(chunk.timing.model)
            for part in assembler.join(chunk.deltas):
                tally.eval_count += len(part.tokens)
                tally.done_reason = part.finish_reason or tally.done_reason
                tops = part.top or [{}] * len(part.tokens)
                triples = zip(part.tokens, part.logprobs, tops, strict=True)
                yield Part(part.text, [_logprob(t, p, top.items()) for t, p, top in triples])


def nanoseconds(milliseconds: float) -> int:
    """Turn milliseconds into nanoseconds."""
    return round(milliseconds * 1e6)


def _as_json(schema: dict[str, Any], captions: Sequence[Caption], tags: Mapping[str, float]) -> str:
    known = [caption.confidence for caption in captions if caption.confidence is not None]
    ordered = sorted(tags, key=lambda word: -tags[word])
    try:
        filled = fill_schema(
            schema,
            "\n".join(caption.text for caption in captions),
            ordered,
            confidence=min(known) if len(known) == len(captions) else None,
            tag_confidences=[tags[word] for word in ordered],
        )
        return json.dumps(filled, ensure_ascii=False, allow_nan=False)
    except ValueError as error:
        raise InvalidParameter(f"format: {error}") from error


def _caption_logprobs(caption: Caption, before: str) -> Iterable[dict[str, Any]]:
    """Yield the tokens of a caption, which together are its text: without the end token."""
    words = caption.tokens[:-1] if caption.finished else caption.tokens
    for i, token in enumerate(words):
        top = [(other.token, other.logprob) for other in token.top or ()]
        yield _logprob((" " if i else before) + token.token, token.logprob, top)


def _logprob(token: str, logprob: float, top: Iterable[tuple[str, float]]) -> dict[str, Any]:
    others = [_logprob(other, its_logprob, ()) for other, its_logprob in top]
    entry = {"token": token, "logprob": logprob, "bytes": list(token.encode())}
    return entry | ({"top_logprobs": others} if others else {})
