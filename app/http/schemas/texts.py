"""What the text routes take and give, as the docs page shows it.

Knows names, ranges and examples; does not know how any of it comes about.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, create_model
from pydantic_core import PydanticCustomError

from app.http.schemas.options import optional_fields
from app.http.uploads import Base64Picture
from model.config import SamplingConfig
from model.interpretation.properties import PROPERTIES

__all__ = [
    "ActivationsRequest",
    "ActivationsResponse",
    "ChanceResult",
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
        description="Name of a loaded model; may be left out where only one can be meant.",
    ),
]


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Stops = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=100)]],
    Field(max_length=4),
    BeforeValidator(_listed, json_schema_input_type=str | list[str]),
]


def _number_or_name(value: Any) -> int | str:
    if isinstance(value, str) and len(value) <= 64:
        return value
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise PydanticCustomError("unit", "should be a number from 0 on, or like 'layer 1 unit 3'")


UnitName = Annotated[int | str, PlainValidator(_number_or_name, json_schema_input_type=int | str)]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


_SamplingParameters: Any = create_model(
    "_SamplingParameters", __base__=_Request, **optional_fields(SamplingConfig)
)


class TextRequest(_SamplingParameters):  # type: ignore[misc] # made from SamplingConfig
    """What to write; the names are those of the OpenAI completions API.

    What is null or left out is the model's own default, see `GET /models/{name}`.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"prompt": "ROMEO:", "max_tokens": 200, "temperature": 0.7, "seed": 1}]
        }
    )

    model: ModelName = None
    prompt: Annotated[str, Field(description="What the text goes on from; may be empty.")] = ""
    seed: Annotated[
        int | None,
        Field(
            ge=0,
            lt=2**63,
            description="The same one gives the same text; else one is drawn, and the answer "
            "says which. Text `index` is drawn with `seed + index`.",
        ),
    ] = None
    stop: Annotated[
        Stops | None,
        Field(description="Up to 4 texts at which to end; they are left out themselves."),
    ] = None
    n: Annotated[int, Field(ge=1, le=16, description="How many texts.")] = 1
    logprobs: Annotated[
        int | None,
        Field(
            ge=0,
            le=5,
            description="Tell each token's log-probability, and those of so many likeliest ones.",
        ),
    ] = None
    echo: Annotated[bool, Field(description="Begin each text with the prompt.")] = False
    stream: Annotated[
        bool, Field(description="Send server-sent events while the text is being written.")
    ] = False


class ScoreRequest(_Request):
    """A text, and the picture it is about if a captioner is to score it."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"text": "To be, or not to be: that is the question"}]}
    )

    model: ModelName = None
    text: Annotated[str, Field(description="What to score.")]
    image: Base64Picture | None = None


class ActivationsRequest(_Request):
    """A text, and the units to look at: chosen ones, or those that follow a property best."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"text": "ROMEO:\nAy me!", "units": [0, "layer 1 unit 3"]},
                {"text": "First.\nSecond, longer.\nThird.\n" * 4, "property": "position in line"},
            ]
        }
    )

    model: ModelName = None
    text: Annotated[str, Field(min_length=1, description="What the model is to read.")]
    units: Annotated[
        list[UnitName] | None,
        Field(min_length=1, max_length=1_000, description="By number, or like `layer 1 unit 3`."),
    ] = None
    property: Annotated[
        str | None,
        Field(
            max_length=64,
            description="Find the units that follow this property of the text.",
            json_schema_extra={"enum": [*PROPERTIES, None]},
        ),
    ] = None
    top: Annotated[int, Field(ge=1, le=100, description="How many units, with `property`.")] = 5


class _Result(BaseModel):
    """Filled from the attributes of dataclasses."""

    model_config = ConfigDict(from_attributes=True, frozen=True, protected_namespaces=())


class ModelTimingResult(_Result):
    """Milliseconds."""

    model: float = Field(description="The model at work.")
    total: float = Field(description="From the request received to the answer; waiting included.")


class _Answer(_Result):
    model: str
    model_version: str
    request_id: str


class TokenLogprobs(_Result):
    """The tokens of a text one by one, as the OpenAI completions API gives them."""

    tokens: list[str]
    token_logprobs: list[float] = Field(description="Natural logarithms, whatever the sampling.")
    top_logprobs: list[dict[str, float]] | None = Field(
        description="The likeliest tokens in each one's place; null where none were asked for."
    )
    text_offset: list[int] = Field(description="At which character of `text` each begins.")


class TextChoice(_Result):
    """A text, or a part of one that is being written."""

    index: int = Field(ge=0)
    text: str
    finish_reason: Literal["stop", "length"] | None = Field(
        description="`stop`: at a stop text, or by the model's end token. `length`: at "
        "`max_tokens`. Null while it is being written."
    )
    logprob: float = Field(le=0, description="Sum of the written tokens' log-probabilities.")
    logprobs: TokenLogprobs | None = Field(None, description="If asked for.")


class Usage(_Result):
    """Tokens read and written, of all texts together; the prompt counts once."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class TextResponse(_Answer):
    """What was written."""

    seed: int = Field(description="With it, the same request gives the same texts again.")
    choices: list[TextChoice]
    usage: Usage
    timing_ms: ModelTimingResult


class TextChunk(_Answer):
    """One server-sent event: what was written since the last."""

    seed: int
    choices: list[TextChoice] = Field(description="Those texts that have grown.")
    usage: Usage | None = Field(None, description="With the last chunk.")
    timing_ms: ModelTimingResult | None = Field(None, description="With the last chunk.")


class TokenScore(_Result):
    """A token of a text that you brought."""

    token: str
    logprob: float = Field(le=0, description="Natural logarithm, given the tokens before it.")


class ScoreResponse(_Answer):
    """How likely a text is."""

    tokens: list[TokenScore]
    logprob: float = Field(le=0, description="Sum of the tokens' log-probabilities.")
    mean_logprob: float = Field(le=0, description="`logprob` over the number of tokens.")
    perplexity: float = Field(description="exp(-`mean_logprob`).")
    bits_per_character: float | None = Field(
        None, description="-log2 of the text's probability over its characters; not of captions."
    )
    timing_ms: ModelTimingResult


class ChanceResult(_Result):
    """What the best of all units reaches when the property is moved elsewhere in the text."""

    mean: float
    high: float = Field(description="95th percentile: a unit below it is of no interest.")


class PropertyResult(_Result):
    """The property that units were held against."""

    name: str
    description: str
    measure: Literal["auc", "spearman"] = Field(
        description="auc: area under the ROC curve, noise 0.5. spearman: rank correlation, noise 0."
    )
    chance: ChanceResult


class UnitResult(_Result):
    """A unit and what it does: tanh(c) of an LSTM, h of other cells, -1 to 1."""

    unit: int = Field(ge=0)
    name: str
    direction: Literal[1, -1] | None = Field(
        None, description="With a property: whether the unit rises with it, or falls."
    )
    score: float | None = Field(
        None, description="With a property: how well it is followed, on the text's second half."
    )
    activations: list[float] = Field(description="After each token, to four decimals.")


class ActivationsResponse(_Answer):
    """What units do while the model reads a text."""

    tokens: list[str] = Field(description="The text as the model reads it.")
    units: list[UnitResult] = Field(description="As asked for; with a property, best first.")
    property: PropertyResult | None = None
    timing_ms: ModelTimingResult
