"""`POST /score`: its body and its response."""

from typing import Annotated

from pydantic import ConfigDict, Field

from app.http.schemas.activations import UnitResult
from app.http.schemas.requests import ModelName, StrictRequest
from app.http.schemas.results import ModelResponse, ModelTimingResult, Result
from app.http.schemas.tokens import TopLogprobs
from app.http.uploads import Base64Picture
from model.captioning.caption import MOST_TOP_LOGPROBS

__all__ = ["ScoreRequest", "ScoreResponse", "TokenScore"]


class ScoreRequest(StrictRequest):
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
    unit: Annotated[
        int | None,
        Field(
            ge=0,
            description="With `image`: return what this unit of the captioner does at each token, "
            "gates included; for LSTMs only.",
        ),
    ] = None


class TokenScore(Result):
    """A token of the scored text."""

    token: str
    logprob: float = Field(
        le=0, description="Natural logarithm of its probability given the tokens before it."
    )
    top_logprobs: TopLogprobs = None


class ScoreResponse(ModelResponse):
    """The log-probability of a text."""

    tokens: list[TokenScore]
    logprob: float = Field(le=0, description="Sum of the tokens' log-probabilities.")
    mean_logprob: float = Field(le=0, description="`logprob` over the number of tokens.")
    perplexity: float = Field(description="exp(-`mean_logprob`).")
    bits_per_character: float | None = Field(
        None, description="-log2 of the text's probability over its characters; not for captions."
    )
    unit: UnitResult | None = Field(
        None, description="Of a captioner, if requested: at the step of each token."
    )
    timing_ms: ModelTimingResult
