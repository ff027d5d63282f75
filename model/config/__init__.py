"""The configurations in a bundle's `config.json`, as frozen dataclasses that check their values."""

from typing import Annotated

from pydantic import Field

from model.config.base import (
    FORMAT,
    CellName,
    Fraction,
    Name,
    Positive,
    Version,
    describe_fault,
    merge_config,
)
from model.config.captioner import (
    CalibrationConfig,
    CaptionerConfig,
    ConsensusConfig,
    DecoderConfig,
    EncoderConfig,
    FeatureName,
    GoldenConfig,
    PreprocessingConfig,
    TaggingConfig,
    Triple,
)
from model.config.decoding import DecodingConfig
from model.config.text import RecurrentConfig, SamplingConfig, TextConfig

__all__ = [
    "FORMAT",
    "MOST_FRAMES",
    "BundleConfig",
    "CalibrationConfig",
    "CaptionerConfig",
    "CellName",
    "ConsensusConfig",
    "DecoderConfig",
    "DecodingConfig",
    "EncoderConfig",
    "FeatureName",
    "Fraction",
    "GoldenConfig",
    "Name",
    "Positive",
    "PreprocessingConfig",
    "RecurrentConfig",
    "SamplingConfig",
    "TaggingConfig",
    "TextConfig",
    "Triple",
    "Version",
    "describe_fault",
    "merge_config",
]

MOST_FRAMES = 64  # of a clip, that are captioned

BundleConfig = Annotated[CaptionerConfig | TextConfig, Field(discriminator="kind")]
