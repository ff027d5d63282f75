"""`POST /caption`: its parameters and its response."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, create_model

from app.http.schemas.options import optional_fields
from app.http.schemas.results import Result
from model.config import DecodingConfig
from model.pictures.formats import FORMATS

__all__ = [
    "CaptionParameters",
    "CaptionResponse",
    "CaptionResult",
    "PictureInfo",
    "TimingResult",
    "TokenResult",
]


_DecodingParameters: Any = create_model("_DecodingParameters", **optional_fields(DecodingConfig))


class CaptionParameters(_DecodingParameters):  # type: ignore[misc] # made from DecodingConfig
    """Captioning options; those left out take the model's defaults, see `GET /models/{name}`."""

    model_config = ConfigDict(extra="forbid")

    attention: Annotated[
        bool, Field(description="Return for each token where in the picture the model looked.")
    ] = False
    image_gain: Annotated[
        bool,
        Field(
            description="Return for each token how much the picture raises its log-probability; "
            "needs a model with a mean picture."
        ),
    ] = False


class TokenResult(Result):
    """A word of a caption, or the end token."""

    token: str
    logprob: float = Field(le=0, description="Natural logarithm of the token's probability.")
    attention: list[list[float]] | None = Field(
        None,
        description="Attention weights over the picture, rows x columns; they sum to 1.",
    )
    image_gain: float | None = Field(
        None,
        description="How much the picture raises `logprob`: the difference from what it would be "
        "for an average picture. Near 0 the word is a language habit; below 0 the picture makes "
        "it less likely.",
    )


class CaptionResult(Result):
    """A caption, with its log-probability and how confident the model is."""

    text: str
    logprob: float = Field(le=0, description="Sum of the tokens' log-probabilities.")
    mean_logprob: float = Field(le=0, description="`logprob` over the number of tokens.")
    finished: bool = Field(description="False if the caption was cut off at `max_length`.")
    confidence: float | None = Field(
        None,
        ge=0,
        le=1,
        description="The probability that the caption is good, as defined by the model's "
        "calibration (see `GET /models/{name}`). Absent if the caption was cut off or drawn, or "
        "the model has no calibration.",
    )
    agreement: float | None = Field(
        None,
        ge=0,
        le=1,
        description="How well the caption agrees with people's captions of similar pictures: the "
        "mean cosine similarity of TF-IDF vectors of 1- to 4-grams; 0.2 is already high. Absent if "
        "the model has no consensus reranker.",
    )
    tokens: list[TokenResult]


class PictureInfo(Result):
    """The picture as it was captioned, upright."""

    width: int = Field(ge=1)
    height: int = Field(ge=1)
    format: str = Field(
        description="Pillow's name of the file's format: one of " + ", ".join(FORMATS) + ".",
        examples=["JPEG"],
    )


class TimingResult(Result):
    """Time taken by each stage, in milliseconds."""

    decode: float = Field(description="Decoding and preparing the picture.")
    queue: float = Field(description="Waiting for a free thread or for the model.")
    encode: float = Field(description="The CNN.")
    search: float = Field(description="The decoder: search or drawing.")
    total: float = Field(description="From the complete request to the captions.")


# The response of the shipped captioner to examples/chelsea.jpg.
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
    seed: int | None = Field(
        None, description="Of captions that were drawn: with it, the same request draws them again."
    )
    captions: list[CaptionResult]
    image: PictureInfo
    timing_ms: TimingResult
