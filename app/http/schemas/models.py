"""`GET /models`: the list, and one model with its card."""

from typing import Any, Literal

from pydantic import BaseModel, Field

from model.config import (
    CalibrationConfig,
    ConsensusConfig,
    DecoderConfig,
    DecodingConfig,
    RecurrentConfig,
    SamplingConfig,
    TaggingConfig,
)
from model.vocabulary import Level

__all__ = ["CaptionOption", "CaptionerDetail", "LanguageModelDetail", "ModelList", "ModelSummary"]

# What a captioner supports only if its bundle has what that needs.
CaptionOption = Literal["consensus", "image_gain", "tags"]


class ModelSummary(BaseModel):
    """A model that requests can name."""

    name: str
    kind: Literal["captioner", "text"]
    version: str
    device: str = Field(description="The device it runs on.", examples=["cpu", "cuda:0"])
    parameters: int = Field(description="Number of learned parameters.")
    loaded: bool = Field(
        description="Whether it is in memory; if not, the first request that needs it loads it."
    )


class _Detail(ModelSummary):
    card: str = Field(description="The model card, in Markdown.")
    scores: dict[str, dict[str, dict[str, float]]] = Field(
        description="By test set, then by beam size (`model` for scored text), then by metric."
    )
    provenance: dict[str, Any] = Field(description="Data, licence and recipe of the weights.")


class CaptionerDetail(_Detail):
    """A captioner with its card."""

    kind: Literal["captioner"]
    decoder: DecoderConfig = Field(description="Its decoder's cells and sizes.")
    decoding: DecodingConfig = Field(description="Default search options.")
    supports: list[CaptionOption] = Field(
        description="Options of `POST /caption` that need something of the captioner, and that "
        "this one has."
    )
    consensus: ConsensusConfig | None = Field(
        description="How captions are reranked by agreement with the words that people would use."
    )
    calibration: CalibrationConfig | None = Field(
        description="How a caption's `confidence` is computed, and what it is the probability of."
    )
    tagging: TaggingConfig | None = Field(
        description="How the `probability` of a tag is computed from the word detector's evidence."
    )


class LanguageModelDetail(_Detail):
    """A language model with its card."""

    kind: Literal["text"]
    level: Level = Field(description="What a token is.")
    ends: bool = Field(description="Whether it can end a text itself, with an end token.")
    network: RecurrentConfig = Field(description="Its cells and sizes.")
    sampling: SamplingConfig = Field(description="Default sampling options.")


class ModelList(BaseModel):
    """All models."""

    models: list[ModelSummary]
