"""Every setting of the service, read from `UNROLLED_*` environment variables.

Knows names, defaults and ranges, and refuses nonsense before anything starts; does not know
what any setting is used for.
"""

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from model.runtime.options import Device, Precision, Runtime

__all__ = ["Settings", "SettingsError", "read_settings"]

_PREFIX = "UNROLLED_"

# Not settings of the service: where the models keep what they made, training and tests their data.
_OTHERS = {"UNROLLED_CACHE", "UNROLLED_DATA", "UNROLLED_TEST_DATA"}


class SettingsError(ValueError):
    """A setting makes no sense; the message names the variable and what would be right."""


class Settings(BaseSettings):
    """How the service runs. `UNROLLED_PORT=9000` sets `port`, and so on."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, frozen=True, extra="forbid")

    weights: Path = Field(
        Path(__file__).resolve().parents[1] / "weights",
        description="Folder that holds the bundles, or one bundle itself.",
    )
    device: Device = Field("auto", description="Where the model runs; auto prefers a GPU.")
    runtime: Runtime = Field(
        "auto",
        description="What runs the models; auto takes OpenVINO on a CPU, PyTorch elsewhere; "
        "cuda_graphs is PyTorch's captioner on an NVIDIA GPU, each shape recorded once.",
    )
    precision: Precision = Field(
        "float32",
        description="Of the captioner's arithmetic; bfloat16 and float16 are faster where the "
        "processor or the GPU knows them, int8 on a CPU with OpenVINO, and their "
        "log-probabilities have fewer digits.",
    )
    threads: Annotated[int, Field(ge=1, le=1024)] | None = Field(
        None, description="CPU threads of the models; unset, as many as there are cores for them."
    )
    self_test: bool = Field(
        True, description="Whether a captioner captions its golden pictures before it serves."
    )
    host: str = Field("127.0.0.1", min_length=1, description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    max_upload_bytes: int = Field(
        20_000_000, ge=1_000, le=1_000_000_000, description="Largest picture file accepted."
    )
    max_pixels: int = Field(
        50_000_000,
        ge=1_000,
        # Pillow warns above this number, and refuses twice as much.
        le=89_000_000,
        description="Largest width x height accepted, judged before the picture is decoded.",
    )
    queue_size: int = Field(
        # A batch that is worked on and half of one that waits: nobody who is let in waits for as
        # much as two.
        24,
        ge=1,
        le=100_000,
        description="Requests in hand at once; more are sent away with 429.",
    )
    batch_size: int = Field(
        16, ge=1, le=1024, description="Most pictures, of those that wait, captioned together."
    )
    deadline: float = Field(
        30,
        gt=0,
        le=3600,
        description="Seconds after which a caption that is not found is given up, with 503.",
    )
    load_language_models: Literal["on_first_use", "at_start"] = Field(
        "on_first_use", description="When the models that write text take memory."
    )
    language_models_megabytes: int = Field(
        500,
        ge=1,
        description="Memory for the weights of writers; those not asked for the longest make room.",
    )
    max_tokens: int = Field(
        5_000, ge=1, le=10_000, description="Most tokens that a text may be asked to have."
    )
    max_text_length: int = Field(
        5_000,
        ge=1,
        le=100_000,
        description="Most characters of a prompt, or of a text to score or to look into.",
    )
    max_activations: int = Field(
        200_000,
        ge=1_000,
        le=100_000_000,
        description="Most activations in an answer: units times characters.",
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Web origins that may call from a browser, separated by commas."
    )
    log_format: Literal["json", "console"] = Field("console", description="How logs look.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info")

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _split_at_commas(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            scheme, _, rest = origin.partition("://")
            if origin != "*" and (scheme not in ("http", "https") or not rest or "/" in rest):
                raise ValueError(f"{origin!r} is no origin: write https://example.org, or *")
        return origins


def read_settings(**overrides: Any) -> Settings:
    """Read the environment; what is given here wins, unless it is None.

    Raises:
        SettingsError: a value makes no sense, or a variable is none of the settings.
    """
    known = {_PREFIX + name.upper() for name in Settings.model_fields} | _OTHERS
    unknown = sorted(n for n in os.environ if n.startswith(_PREFIX) and n not in known)
    if unknown:
        raise SettingsError(
            f"there is no setting {unknown[0]}: there are {', '.join(sorted(known))}"
        )
    try:
        return Settings(**{name: value for name, value in overrides.items() if value is not None})
    except ValidationError as error:
        faults = [
            f"{_PREFIX}{str(fault['loc'][0]).upper()}={fault['input']!s}: {fault['msg']}"
            for fault in error.errors()
        ]
        raise SettingsError("; ".join(faults)) from error
