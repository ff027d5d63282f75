"""`POST /generate-text`: its body and its response."""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, create_model

from app.http.schemas.options import optional_fields
from app.http.schemas.requests import ModelName, StrictRequest
from app.http.schemas.results import ModelResponse, ModelTimingResult, Result
from model.config import SamplingConfig
from model.text.deltas import TextPart

__all__ = [
    "TextChoice",
    "TextChunk",
    "TextRequest",
    "TextResponse",
    "TokenLogprobs",
    "Usage",
]


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Stops = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=100)]],
    Field(max_length=4),
    BeforeValidator(_as_list, json_schema_input_type=str | list[str]),
]


_SamplingParameters: Any = create_model(
    "_SamplingParameters", __base__=StrictRequest, **optional_fields(SamplingConfig)
)


class TextRequest(_SamplingParameters):  # type: ignore[misc] # made from SamplingConfig
    """A prompt and sampling options, named as in the OpenAI completions API.

    Options that are null or omitted take the model's defaults, see `GET /models/{name}`.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"model": "shakespeare", "prompt": "ROMEO:", "max_tokens": 200, "seed": 1}]
        }
    )

    model: ModelName = None
    prompt: Annotated[str, Field(description="The text to continue; may be empty.")] = ""
    seed: Annotated[
        int | None,
        Field(
            ge=0,
            lt=2**63,
            description="The same seed gives the same text; if omitted, a random one is used and "
            "returned. Text `index` is sampled with `seed + index`.",
        ),
    ] = None
    stop: Annotated[
        Stops | None,
        Field(description="Up to 4 strings that end the text; they are not included in it."),
    ] = None
    n: Annotated[int, Field(ge=1, le=16, description="Number of texts.")] = 1
    logprobs: Annotated[
        int | None,
        Field(
            ge=0,
            le=5,
            description="Return each token's log-probability, and those of this many most likely "
            "tokens.",
        ),
    ] = None
    echo: Annotated[bool, Field(description="Start each text with the prompt.")] = False
    stream: Annotated[
        bool, Field(description="Send server-sent events while the text is generated.")
    ] = False


class TokenLogprobs(Result):
    """The tokens of a text, in the format of the OpenAI completions API."""

    tokens: list[str]
    token_logprobs: list[float] = Field(
        description="Natural logarithms, as the model gave them before any sampling options."
    )
    top_logprobs: list[dict[str, float]] | None = Field(
        description="The most likely tokens at each position; null if none were requested."
    )
    text_offset: list[int] = Field(description="The offset of each token in `text`, in characters.")

    @classmethod
    def of(cls, part: TextPart, *, top: bool) -> Self:
        """Take the tokens of a part of a text, with the likeliest at each place if `top`."""
        return cls(
            tokens=part.tokens,
            token_logprobs=part.logprobs,
            top_logprobs=part.top if top else None,
            text_offset=part.offsets,
        )


class TextChoice(Result):
    """A text, or the next part of a streamed one."""

    index: int = Field(ge=0)
    text: str
    finish_reason: Literal["stop", "length"] | None = Field(
        description="`stop`: a stop string or the model's end token was reached. `length`: "
        "`max_tokens` was reached. Null while the text is being generated."
    )
    logprob: float = Field(le=0, description="Sum of the generated tokens' log-probabilities.")
    logprobs: TokenLogprobs | None = Field(None, description="If requested.")


class Usage(Result):
    """Tokens read and generated, for all texts together; the prompt counts once."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class TextResponse(ModelResponse):
    """The generated texts."""

    seed: int = Field(description="Repeat the request with this seed to get the same texts.")
    choices: list[TextChoice]
    usage: Usage
    timing_ms: ModelTimingResult


class TextChunk(ModelResponse):
    """One server-sent event: what was generated since the last one."""

    seed: int
    choices: list[TextChoice] = Field(description="The texts that have grown.")
    usage: Usage | None = Field(None, description="In the last chunk.")
    timing_ms: ModelTimingResult | None = Field(None, description="In the last chunk.")
