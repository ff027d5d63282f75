"""Captions as answers: a line for each picture, or JSON."""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from app.errors import InvalidParameter
from app.http.compat.openai.forms import Form
from app.http.compat.structured import fill_schema
from app.http.schemas.results import Result
from app.serving.results import CaptionedPicture
from model.captioning.caption import Caption, Token
from model.captioning.word_kinds import word_kind
from model.captioning.wording import alt_text

__all__ = ["Answer", "CaptionDetails", "answers_of"]


def _is_none(value: Any) -> bool:
    return value is None


class CaptionDetails(Result):
    """How sure the captioner is of a caption, see `POST /caption`."""

    text: str
    logprob: float = Field(le=0, description="Its log-probability, the end token included.")
    mean_logprob: float = Field(le=0)
    finished: bool
    confidence: float | None = Field(default=None, ge=0, le=1, exclude_if=_is_none)
    agreement: float | None = Field(default=None, ge=0, le=1, exclude_if=_is_none)


@dataclass(frozen=True)
class Answer:
    """A caption of each picture, in their order, and the pictures' tags with probabilities."""

    captions: Sequence[Caption]
    tags: dict[str, float]

    @property
    def text(self) -> str:
        """One line a picture."""
        return "\n".join(caption.text for caption in self.captions)

    @property
    def finish_reason(self) -> Literal["stop", "length"]:
        """Why the captions ended: by themselves, or one of them at the greatest length."""
        return "stop" if all(caption.finished for caption in self.captions) else "length"

    @property
    def details(self) -> list[CaptionDetails]:
        """How sure the captioner is of each caption."""
        return [CaptionDetails.model_validate(caption) for caption in self.captions]

    @property
    def num_tokens(self) -> int:
        """The number of tokens, end tokens included."""
        return sum(len(caption.tokens) for caption in self.captions)

    @property
    def confidence(self) -> float | None:
        """That of the least sure caption; None if one has none."""
        known = [one.confidence for one in self.captions if one.confidence is not None]
        return min(known) if len(known) == len(self.captions) else None

    def tokens(self) -> Iterable[tuple[str, Token]]:
        """Yield each token, after the space or line break before it; together they are `text`."""
        for i, caption in enumerate(self.captions):
            words = caption.tokens[:-1] if caption.finished else caption.tokens
            for j, token in enumerate(words):
                yield " " if j else "\n" if i else "", token

    def write(self, form: Form) -> str:
        """Write the answer in a form.

        Raises:
            InvalidParameter: the form's schema cannot be filled.
        """
        if form.json:
            return self._json(form.schema)
        if form.alt_text:
            return "\n".join(alt_text(caption.text) for caption in self.captions)
        return self.text

    def _json(self, schema: dict[str, Any] | None) -> str:
        content: Any = {"caption": self.text, "confidence": self.confidence}
        words = sorted(self.tags, key=lambda word: -self.tags[word])
        try:
            if schema is not None:
                content = fill_schema(
                    schema,
                    self.text,
                    words,
                    confidence=self.confidence,
                    tag_confidences=[self.tags[word] for word in words],
                )
            return json.dumps(content, ensure_ascii=False, allow_nan=False)
        except ValueError as error:
            raise InvalidParameter(f"response_format: {error}") from error


def answers_of(pictures: Sequence[CaptionedPicture]) -> list[Answer]:
    """Return the first caption of every picture as the first answer, and so on."""
    captions = (picture.captions for picture in pictures)
    tags = _tags(pictures)
    return [Answer(one_each, tags) for one_each in zip(*captions, strict=False)]


def _tags(pictures: Sequence[CaptionedPicture]) -> dict[str, float]:
    """Return what the word detector finds, or if a captioner has none, the captions' nouns."""
    tags: dict[str, float] = {}
    for picture in pictures:
        if picture.tags is None:
            tokens = (token for caption in picture.captions for token in caption.tokens)
            found = {t.token: math.exp(t.logprob) for t in tokens if word_kind(t.token) == "noun"}
        else:
            found = {tag.word: tag.probability for tag in picture.tags}
        for word, probability in found.items():
            tags[word] = max(probability, tags.get(word, 0))
    return tags
