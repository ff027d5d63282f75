"""What the service takes and gives, as the docs page shows it.

Knows names, ranges and examples; does not know how any of it comes about.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from model.config import (
    CalibrationConfig,
    ConsensusConfig,
    DecodingConfig,
    RecurrentConfig,
    SamplingConfig,
)
from model.vocabulary import Level

__all__ = [
    "CaptionParameters",
    "CaptionResponse",
    "CaptionResult",
    "CaptionerDetail",
    "ErrorDetail",
    "ErrorResponse",
    "Health",
    "LanguageModelDetail",
    "ModelList",
    "ModelSummary",
    "PictureInfo",
    "TimingResult",
    "TokenResult",
]


class CaptionParameters(BaseModel):
    """How to search; what is left out is the model's own default, see `GET /models`."""

    model_config = ConfigDict(extra="forbid")

    beam_size: Annotated[
        int | None,
        Field(ge=1, le=10, description="Hypotheses kept at each step; 1 is greedy search."),
    ] = None
    num_captions: Annotated[
        int | None,
        Field(ge=1, le=10, description="Captions to return, best first; at most `beam_size`."),
    ] = None
    max_length: Annotated[
        int | None,
        Field(ge=1, le=50, description="Greatest number of tokens, the end token included."),
    ] = None
    length_penalty: Annotated[
        float | None,
        Field(
            ge=0,
            le=2,
            allow_inf_nan=False,
            description="Captions are ranked by `logprob / length ** length_penalty`.",
        ),
    ] = None
    consensus: Annotated[
        bool | None,
        Field(
            description="Put the captions that the beam holds into the order of how well they "
            "agree with what people said of pictures that look alike; the model needs a consensus "
            "for that."
        ),
    ] = None
    attention: Annotated[
        bool, Field(description="Say for each token where in the picture the model looked.")
    ] = False
    image_gain: Annotated[
        bool,
        Field(
            description="Say for each token how far it comes from the picture; the model needs a "
            "mean picture for that."
        ),
    ] = False


class _Result(BaseModel):
    """Filled from the attributes of the model's own dataclasses."""

    model_config = ConfigDict(from_attributes=True, frozen=True)


class TokenResult(_Result):
    """A word of a caption, or the end token."""

    token: str
    logprob: float = Field(le=0, description="Natural logarithm of the token's probability.")
    attention: list[list[float]] | None = Field(
        None, description="Where the model looked: rows x columns over the picture, of sum 1."
    )
    image_gain: float | None = Field(
        None,
        description="`logprob` less what it would be for a picture of nothing in particular: near "
        "0 the word comes from habit, below it the picture speaks against it.",
    )


class CaptionResult(_Result):
    """A caption and how sure the model is of it."""

    text: str
    logprob: float = Field(le=0, description="Sum of the tokens' log-probabilities.")
    mean_logprob: float = Field(le=0, description="`logprob` over the number of tokens.")
    finished: bool = Field(description="False where the caption was cut at `max_length`.")
    confidence: float | None = Field(
        None,
        ge=0,
        le=1,
        description="The chance that the caption is good; absent where it was cut, and where the "
        "model has no calibration, which says what good means, see `GET /models/{name}`.",
    )
    agreement: float | None = Field(
        None,
        ge=0,
        le=1,
        description="How far the caption agrees with what people said of pictures that look "
        "alike: the mean cosine of TF-IDF vectors of n-grams, n = 1 to 4; some 0.2 is much. Absent "
        "where the model has no consensus.",
    )
    tokens: list[TokenResult]


class PictureInfo(_Result):
    """The picture as it was captioned: upright."""

    width: int = Field(ge=1)
    height: int = Field(ge=1)
    format: Literal["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"]


class TimingResult(_Result):
    """Milliseconds by stage."""

    decode: float = Field(description="File to tensor.")
    queue: float = Field(description="Waiting for a free thread.")
    encode: float = Field(description="The CNN.")
    search: float = Field(description="The LSTM and beam search.")
    total: float = Field(description="From the request received to the captions found.")


# What the shipped captioner answers for examples/chelsea.jpg.
_CAPTION_EXAMPLE: dict[str, Any] = {
    "model": "captioner",
    "model_version": "4",
    "request_id": "0d5b9d4ec41841369068e80fe55d1b73",
    "captions": [
        {
            "text": "a cat is sitting on top of a couch",
            "logprob": -2.354,
            "mean_logprob": -0.2354,
            "finished": True,
            "confidence": 0.794,
            "agreement": 0.138,
            "tokens": [
                {"token": "a", "logprob": -0.0414},
                {"token": "cat", "logprob": -0.2209},
                {"token": "is", "logprob": -0.3874},
                {"token": "sitting", "logprob": -0.5052},
                {"token": "on", "logprob": -0.0323},
                {"token": "top", "logprob": -0.2389},
                {"token": "of", "logprob": -0.0067},
                {"token": "a", "logprob": -0.0304},
                {"token": "couch", "logprob": -0.8881},
                {"token": "<END>", "logprob": -0.0027},
            ],
        }
    ],
    "image": {"width": 451, "height": 300, "format": "JPEG"},
    "timing_ms": {
        "decode": 3.39,
        "queue": 0.54,
        "encode": 22.17,
        "search": 25.46,
        "total": 51.56,
    },
}


class CaptionResponse(BaseModel):
    """A picture's captions, best first."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [_CAPTION_EXAMPLE]}, protected_namespaces=()
    )

    model: str
    model_version: str
    request_id: str
    captions: list[CaptionResult]
    image: PictureInfo
    timing_ms: TimingResult


class ModelSummary(BaseModel):
    """A model that can be asked for."""

    name: str
    kind: Literal["captioner", "text"]
    version: str
    device: str = Field(description="Where it runs.", examples=["cpu", "cuda:0"])
    parameters: int = Field(description="How many numbers were learned.")
    loaded: bool = Field(
        description="Whether it is in memory; if not, the first request that needs it loads it."
    )


class _Detail(ModelSummary):
    card: str = Field(description="The model card, Markdown.")
    scores: dict[str, dict[str, dict[str, float]]] = Field(
        description="By test set, then beam size (`model` where text is scored), then metric."
    )
    provenance: dict[str, Any] = Field(description="Data, licence and recipe of the weights.")


class CaptionerDetail(_Detail):
    """A captioner with its card."""

    kind: Literal["captioner"]
    decoding: DecodingConfig = Field(description="Defaults of the search.")
    consensus: ConsensusConfig | None = Field(
        description="How captions are ordered by what people said of pictures that look alike."
    )
    calibration: CalibrationConfig | None = Field(
        description="Where a caption's `confidence` comes from, and what it is the chance of."
    )


class LanguageModelDetail(_Detail):
    """A model that writes text, with its card."""

    kind: Literal["text"]
    level: Level = Field(description="What a token is.")
    ends: bool = Field(description="Whether its texts end by themselves.")
    network: RecurrentConfig = Field(description="Its cells and sizes.")
    sampling: SamplingConfig = Field(description="Defaults of the drawing.")


class ModelList(BaseModel):
    """Every loaded model."""

    models: list[ModelSummary]


class Health(BaseModel):
    """A sign of life."""

    status: Literal["live", "ready"]


class ErrorDetail(BaseModel):
    """What is wrong, for programs and for people."""

    code: str = Field(description="For programs.", examples=["unsupported_image"])
    message: str = Field(
        description="For people: what is wrong, and what would be right.",
        examples=["unsupported image format: send JPEG, PNG, WebP, GIF, BMP or TIFF"],
    )
    request_id: str | None = Field(
        description="Also in `X-Request-ID`, and in the log.",
        examples=["0e4d0aa1f2f34d0e9a1a3a6f6e1b8a52"],
    )


class ErrorResponse(BaseModel):
    """The one shape of every error."""

    error: ErrorDetail
