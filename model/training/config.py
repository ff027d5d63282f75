"""What a training recipe (a TOML file) may say.

Knows names, ranges and defaults; knows nothing of how training goes about it.
"""

import os
import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from model.config import (
    DecoderConfig,
    DecodingConfig,
    EncoderConfig,
    Fraction,
    Positive,
    PreprocessingConfig,
)

__all__ = ["CaptionerRecipe", "DataConfig", "OptimisationConfig", "data_path", "read_recipe"]

_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)

NotNegative = Annotated[float, Field(ge=0)]


@dataclass(frozen=True, config=_STRICT)
class DataConfig:
    """One captioned set: its Karpathy JSON and where its pictures lie (see `PictureStore`).

    `weight` is how many times an epoch shows each of its training pictures on average. Relative
    paths start at the folder that the environment variable UNROLLED_DATA names, else at `data`.
    """

    captions: str
    pictures: Annotated[tuple[str, ...], Field(min_length=1)]
    weight: Annotated[float, Field(gt=0)] = 1.0


@dataclass(frozen=True, config=_STRICT)
class OptimisationConfig:
    """How the weights are found.

    The learning rate of AdamW rises linearly for `warmup` steps and falls along a half cosine to
    `final_rate` of its peak. `tune_from` is the encoder's first trained stage (None: frozen), at
    `encoder_learning_rate`. `sampling` is the chance of scheduled sampling in the last epoch,
    rising linearly from 0 in the first. `average` is the decay, a step, of the moving average of
    weights that is validated and kept. Training stops when the validation CIDEr has not risen for
    `patience` epochs.
    """

    epochs: Positive = 20
    batch_size: Positive = 50
    captions_each: Positive = 5
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    encoder_learning_rate: Annotated[float, Field(gt=0)] = 1e-5
    final_rate: Fraction = 0.01
    warmup: Annotated[int, Field(ge=0)] = 500
    weight_decay: NotNegative = 0.01
    clip_norm: Annotated[float, Field(gt=0)] = 5.0
    label_smoothing: Fraction = 0.1
    sampling: Fraction = 0.0
    average: Fraction = 0.998
    patience: Positive = 5
    tune_from: int | None = None
    update_batch_norm: bool = False


@dataclass(frozen=True, config=_STRICT)
class CaptionerRecipe:
    """All that a captioner's training depends on.

    `encoder_weights` is a safetensors file in the encoder's own names, `pretrained` asks the
    encoder's library for its weights instead; with neither they are random. `views` counts the
    views of a picture that a frozen encoder's cache holds; with a tuned encoder each epoch shows
    a new view (1: always the picture as it is). `min_count` is how often the training captions
    must hold a word for it to be learned. `device` `auto` takes a GPU where there is one.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=64)]
    data: Annotated[tuple[DataConfig, ...], Field(min_length=1)]
    version: Annotated[str, Field(min_length=1, max_length=64)] = "1"
    seed: int = 0
    encoder: EncoderConfig = EncoderConfig()
    encoder_weights: str | None = None
    pretrained: bool = False
    preprocessing: PreprocessingConfig = PreprocessingConfig()
    decoder: DecoderConfig = DecoderConfig()
    decoding: DecodingConfig = DecodingConfig()
    optimisation: OptimisationConfig = OptimisationConfig()
    min_count: Positive = 4
    max_words: Annotated[int, Field(ge=1, le=50)] = 20
    views: Positive = 2
    feature_cache: str = "cache/features"
    device: Literal["auto", "cpu"] = "auto"
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    workers: Annotated[int, Field(ge=0)] = 0
    checkpoint_minutes: Annotated[float, Field(gt=0)] = 5.0


def read_recipe(path: Path) -> CaptionerRecipe:
    """Read a recipe.

    Raises:
        ValueError: it is not TOML, or says something that a recipe may not say.
        FileNotFoundError: it is not there.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        return TypeAdapter(CaptionerRecipe).validate_python(data)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not TOML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        raise ValueError(f"{path}: {where}: {first['msg']}") from error


def data_path(relative: str) -> str:
    """Resolve a path (or pattern) of a recipe, see `DataConfig`."""
    return str(Path(os.environ.get("UNROLLED_DATA", "data")) / relative)
