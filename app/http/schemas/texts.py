"""`POST /generate-text`, `/score` and `/activations`: their bodies and their responses."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, create_model
from pydantic_core import PydanticCustomError

from app.http.schemas.captions import TopLogprobs
from app.http.schemas.options import optional_fields
from app.http.schemas.results import Result
from app.http.uploads import Base64Picture
from model.captioning.caption import MOST_TOP_LOGPROBS
from model.config import SamplingConfig
from model.interpretation.properties import PROPERTIES
from model.text.deltas import TextPart

__all__ = [
    "ActivationsRequest",
    "ActivationsResponse",
    "ChanceResult",
    "GatesResult",
    "ModelTimingResult",
    "PropertyResult",
    "ScoreRequest",
    "ScoreResponse",
    "TextChoice",
    "TextChunk",
    "TextRequest",
    "TextResponse",
    "TokenLogprobs",
    "TokenScore",
    "UnitResult",
    "Usage",
]

ModelName = Annotated[
    str | None,
    Field(
        max_length=64,
        description="A name from `GET /models`; optional if only one model fits the request.",
    ),
]


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Stops = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=100)]],
    Field(max_length=4),
    BeforeValidator(_as_list, json_schema_input_type=str | list[str]),
]


def _number_or_name(value: Any) -> int | str:
    if isinstance(value, str) and len(value) <= 64:
        return value
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise PydanticCustomError("unit", "should be a number from 0, or a name like 'layer 1 unit 3'")


UnitName = Annotated[int | str, PlainValidator(_number_or_name, json_schema_input_type=int | str)]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


_SamplingParameters: Any = create_model(
    "_SamplingParameters", __base__=_Request, **optional_fields(SamplingConfig)
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


class ScoreRequest(_Request):
    """A text, and its picture if a captioner is to score it as a caption."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"model": "shakespeare", "text": "To be, or not to be: that is the question"}
            ]
        }
    )

    model: ModelName = None
    # The service checks the length itself, because punctuation alone has nothing to score either.
    text: Annotated[
        str, Field(description="The text to score.", json_schema_extra={"minLength": 1})
    ]
    image: Base64Picture | None = None
    top_logprobs: Annotated[
        int,
        Field(
            ge=0,
            le=MOST_TOP_LOGPROBS,
            description="With `image`: return for each token this many of the likeliest ones at "
            "its place.",
        ),
    ] = 0


class ActivationsRequest(_Request):
    """A text, and the units to inspect: given ones, or those that follow a property best."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "model": "shakespeare",
                    "text": "ROMEO:\nAy me!",
                    "units": [0, "layer 1 unit 3"],
                },
                {
                    "model": "shakespeare",
                    "text": "First.\nSecond, longer.\nThird.\n" * 4,
                    "property": "position in line",
                },
            ]
        }
    )

    model: ModelName = None
    text: Annotated[str, Field(min_length=1, description="The text for the model to read.")]
    units: Annotated[
        list[UnitName] | None,
        Field(
            min_length=1,
            max_length=1_000,
            description="By number, or by name like `layer 1 unit 3`.",
        ),
    ] = None
    property: Annotated[
        str | None,
        Field(
            max_length=64,
            description="Return the units that follow this property of the text.",
            json_schema_extra={"enum": [*PROPERTIES, None]},
        ),
    ] = None
    top: Annotated[int, Field(ge=1, le=100, description="Number of units, with `property`.")] = 5
    gates: Annotated[
        bool, Field(description="Return the gates of each unit too; for LSTMs only.")
    ] = False


class ModelTimingResult(Result):
    """Time taken, in milliseconds."""

    model: float = Field(description="The model's work on this request.")
    total: float = Field(description="From the complete request to the result, waiting included.")


class _Response(Result):
    model: str
    model_version: str
    request_id: str


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


class TextResponse(_Response):
    """The generated texts."""

    seed: int = Field(description="Repeat the request with this seed to get the same texts.")
    choices: list[TextChoice]
    usage: Usage
    timing_ms: ModelTimingResult


class TextChunk(_Response):
    """One server-sent event: what was generated since the last one."""

    seed: int
    choices: list[TextChoice] = Field(description="The texts that have grown.")
    usage: Usage | None = Field(None, description="In the last chunk.")
    timing_ms: ModelTimingResult | None = Field(None, description="In the last chunk.")


class TokenScore(Result):
    """A token of the scored text."""

    token: str
    logprob: float = Field(
        le=0, description="Natural logarithm of its probability given the tokens before it."
    )
    top_logprobs: TopLogprobs = None


class ScoreResponse(_Response):
    """The log-probability of a text."""

    tokens: list[TokenScore]
    logprob: float = Field(le=0, description="Sum of the tokens' log-probabilities.")
    mean_logprob: float = Field(le=0, description="`logprob` over the number of tokens.")
    perplexity: float = Field(description="exp(-`mean_logprob`).")
    bits_per_character: float | None = Field(
        None, description="-log2 of the text's probability over its characters; not for captions."
    )
    timing_ms: ModelTimingResult


class ChanceResult(Result):
    """The best unit's score when the property is shifted to other places in the text."""

    mean: float
    high: float = Field(
        description="95th percentile; a unit that scores below it is no better than chance."
    )


class PropertyResult(Result):
    """The property that the units were compared with."""

    name: str
    description: str
    measure: Literal["auc", "spearman"] = Field(
        description="auc: area under the ROC curve, 0.5 for noise. spearman: rank correlation, 0."
    )
    chance: ChanceResult


class GatesResult(Result):
    """An LSTM's unit after each token: c' = f * c + i * g, and h' = o * tanh(c')."""

    i: list[float] = Field(description="Input gate, 0 to 1.")
    f: list[float] = Field(description="Forget gate, 0 to 1.")
    o: list[float] = Field(description="Output gate, 0 to 1.")
    g: list[float] = Field(description="Candidate, -1 to 1.")
    c: list[float] = Field(description="Cell.")
    h: list[float] = Field(description="Output, -1 to 1.")


class UnitResult(Result):
    """A unit and its activations: tanh(c) of an LSTM, h of other cells, -1 to 1."""

    unit: int = Field(ge=0)
    name: str
    direction: Literal[1, -1] | None = Field(
        None, description="With a property: 1 if the unit rises with it, -1 if it falls."
    )
    score: float | None = Field(
        None, description="With a property: how well the unit follows it on the text's second half."
    )
    activations: list[float] = Field(description="After each token, to four decimals.")
    gates: GatesResult | None = Field(None, description="If requested, to four decimals.")


class ActivationsResponse(_Response):
    """The activations of units while the model reads a text."""

    tokens: list[str] = Field(description="The text as the model reads it.")
    units: list[UnitResult] = Field(
        description="In the order requested; with a property, best first."
    )
    property: PropertyResult | None = None
    timing_ms: ModelTimingResult
