"""What chat completions, responses and the list of models answer, as the OpenAPI page shows it."""

import time
from typing import Any, Literal

from pydantic import BaseModel, Field

from app.http.compat.openai.answers import CaptionDetails
from app.http.schemas.texts import Usage

__all__ = [
    "ChatChoice",
    "ChatChunk",
    "ChatChunkChoice",
    "ChatCompletion",
    "ChatDelta",
    "ChatLogprobs",
    "ChatMessage",
    "ChatTokenLogprob",
    "Completion",
    "ErrorBody",
    "ErrorObject",
    "FinishReason",
    "ListedModels",
    "Model",
    "TopLogprob",
    "error_responses",
    "is_empty",
]

FinishReason = Literal["stop", "length"]


def is_empty(value: Any) -> bool:
    """Return whether a field is left out of an answer, rather than null."""
    return value is None or value == []


class ErrorObject(BaseModel):
    """What is wrong, for programs and for people."""

    message: str = Field(description="For people: what is wrong, and what would be right.")
    type: str = Field(examples=["invalid_request_error"])
    param: None = None
    code: str = Field(description="For programs.", examples=["empty_body"])


class ErrorBody(BaseModel):
    """An error, in the shape of OpenAI's API."""

    error: ErrorObject


class Model(BaseModel):
    """A model."""

    id: str
    object: Literal["model"] = "model"
    created: int = Field(description="When the service started, in seconds since 1970.")
    owned_by: Literal["unrolled"] = "unrolled"
    kind: Literal["captioner", "text"] = Field(
        description="Ours: `captioner` answers chats and responses, `text` completions."
    )


class ListedModels(BaseModel):
    """All models, the captioner first."""

    object: Literal["list"] = "list"
    data: list[Model]


class TopLogprob(BaseModel):
    """A token that could stand at a place."""

    token: str
    logprob: float
    bytes: list[int]


class ChatTokenLogprob(TopLogprob):
    """A token of the answer; all together are the caption."""

    top_logprobs: list[TopLogprob] = Field(description="The likeliest ones at its place.")

    @classmethod
    def of(cls, token: str, logprob: float, top: list[tuple[str, float]]) -> "ChatTokenLogprob":
        """Build one from tokens that have the space before them."""
        likeliest = [TopLogprob(**_named(*one)) for one in top]
        return cls(**_named(token, logprob), top_logprobs=likeliest)


class ChatLogprobs(BaseModel):
    """The natural logarithms of the tokens' probabilities."""

    content: list[ChatTokenLogprob]


class ChatMessage(BaseModel):
    """The answer."""

    role: Literal["assistant"] = "assistant"
    content: str = Field(description="A line for each picture, or JSON if that was asked for.")
    refusal: None = None


class _Choice(BaseModel):
    index: int = Field(ge=0)
    logprobs: ChatLogprobs | None = Field(default=None, description="If requested.")
    unrolled: list[CaptionDetails] = Field(
        default=[],
        exclude_if=is_empty,
        description="Ours: how sure the captioner is, for each picture.",
    )


class ChatChoice(_Choice):
    """A caption of every picture."""

    message: ChatMessage
    finish_reason: FinishReason = Field(description="`length`: a caption was cut off.")


class ChatDelta(BaseModel):
    """What a chunk adds to the answer."""

    role: Literal["assistant"] | None = Field(default=None, exclude_if=is_empty)
    content: str | None = Field(default=None, exclude_if=is_empty)


class ChatChunkChoice(_Choice):
    """What a chunk adds to one of the answers."""

    delta: ChatDelta
    finish_reason: FinishReason | None = None


class Completion(BaseModel):
    """What identifies an answer."""

    id: str
    created: int = Field(description="In seconds since 1970.")
    model: str = Field(description="The model that answered, whatever name was asked for.")

    @staticmethod
    def common(prefix: str, request_id: str, model: str) -> dict[str, Any]:
        """Return what identifies an answer."""
        return {"id": f"{prefix}-{request_id}", "created": int(time.time()), "model": model}


class ChatCompletion(Completion):
    """An answer to a chat."""

    object: Literal["chat.completion"] = "chat.completion"
    choices: list[ChatChoice]
    usage: Usage = Field(
        description="The captioner reads pictures and not the text, so `prompt_tokens` is 0; "
        "`completion_tokens` counts the captions' tokens, end tokens included."
    )


class ChatChunk(Completion):
    """A server-sent event of a streamed answer."""

    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    choices: list[ChatChunkChoice]
    usage: Usage | None = Field(
        default=None,
        exclude_if=is_empty,
        description="In the last chunk, with `stream_options.include_usage`.",
    )


def error_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI documentation of a route's errors."""
    return {
        status: {"model": ErrorBody, "description": _DESCRIPTIONS[status]} for status in statuses
    }


_DESCRIPTIONS = {
    400: "The body, a parameter or a picture is not right, or there is no picture.",
    404: "There is no model of this name.",
    408: "The body did not arrive in time.",
    413: "Too many bytes, pixels or characters.",
    429: "Too many requests are in flight: see `Retry-After`.",
    503: "The models are still loading, or the deadline has passed: see `Retry-After`.",
}


def _named(token: str, logprob: float) -> dict[str, Any]:
    return {"token": token, "logprob": logprob, "bytes": list(token.encode())}
