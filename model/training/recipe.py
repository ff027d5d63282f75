"""What a training recipe (a TOML file) may say.

Knows names, ranges and defaults; knows nothing of how training goes about it.
"""

import json
import os
import tomllib
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic.dataclasses import dataclass

from model.config import (
    DecoderConfig,
    DecodingConfig,
    EncoderConfig,
    Fraction,
    Positive,
    PreprocessingConfig,
    RecurrentConfig,
    SamplingConfig,
)
from model.vocabulary import Level

__all__ = [
    "CaptionerRecipe",
    "DataConfig",
    "OptimisationConfig",
    "Recipe",
    "SelfCriticalConfig",
    "TextOptimisationConfig",
    "TextRecipe",
    "data_path",
    "read_recipe",
]

_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)

Recipe = TypeVar("Recipe", "CaptionerRecipe", "TextRecipe")

NotNegative = Annotated[float, Field(ge=0)]


@dataclass(frozen=True, config=_STRICT)
class DataConfig:
    """One captioned set: its Karpathy JSON and where its pictures lie (see `PictureStore`).

    `weight` is how many times an epoch shows each of its training pictures on average.
    `lookalikes` is a file that says which of them look alike (see `model.data.lookalikes`).
    Relative paths start at the folder that the environment variable UNROLLED_DATA names, else at
    `data`.
    """

    captions: str
    pictures: Annotated[tuple[str, ...], Field(min_length=1)]
    weight: Annotated[float, Field(gt=0)] = 1.0
    lookalikes: str | None = None


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
class SelfCriticalConfig:
    """How captions that the network draws are rewarded, see `SelfCriticalLoss`.

    `samples` captions are drawn of each picture, at a `temperature`. `repetition_penalty` is taken
    off the reward of one that says something twice, on the scale of CIDEr, 0 to 10; `bleu_weight`
    is what a BLEU-4 of 1 adds.
    `lookalike_share` of the reward is for what people said of the `lookalikes` pictures that look
    most like it, in the sets that have a file of them.
    `cross_entropy_share` of the loss is that of the human captions, which hold rare words that
    hardly pay.
    """

    samples: Annotated[int, Field(ge=2)] = 5
    temperature: Annotated[float, Field(gt=0, le=2)] = 1.0
    repetition_penalty: NotNegative = 0.5
    bleu_weight: NotNegative = 0.0
    lookalikes: Positive = 5
    lookalike_share: Fraction = 0.0
    cross_entropy_share: Fraction = 0.2


@dataclass(frozen=True, config=_STRICT)
class CaptionerRecipe:
    """All that a captioner's training depends on.

    `encoder_weights` is a safetensors file in the encoder's own names, `pretrained` asks the
    encoder's library for its weights instead; with neither they are random. `initial_weights`
    are the whole network's, of another run: its `best.safetensors`, or a bundle. `self_critical`
    rewards what the network writes (None: cross-entropy alone). `views` counts the views of a
    picture that there are: as it is, mirrored, and crops. A frozen encoder's cache holds them
    all; with a tuned encoder the crops are new in each epoch. `min_count` is how often the
    training captions must hold a word for it to be learned. `device` `auto` takes a GPU where
    there is one.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=64)]
    data: Annotated[tuple[DataConfig, ...], Field(min_length=1)]
    version: Annotated[str, Field(min_length=1, max_length=64)] = "1"
    seed: int = 0
    encoder: EncoderConfig = EncoderConfig()
    encoder_weights: str | None = None
    pretrained: bool = False
    initial_weights: str | None = None
    preprocessing: PreprocessingConfig = PreprocessingConfig()
    decoder: DecoderConfig = DecoderConfig()
    decoding: DecodingConfig = DecodingConfig()
    optimisation: OptimisationConfig = OptimisationConfig()
    self_critical: SelfCriticalConfig | None = None
    min_count: Positive = 4
    max_words: Annotated[int, Field(ge=1, le=50)] = 20
    views: Positive = 2
    feature_cache: str = "cache/features"
    device: Literal["auto", "cpu"] = "auto"
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    workers: Annotated[int, Field(ge=0)] = 0
    checkpoint_minutes: Annotated[float, Field(gt=0)] = 5.0

    @model_validator(mode="after")
    def _one_start(self) -> "CaptionerRecipe":
        if self.initial_weights and (self.encoder_weights or self.pretrained):
            raise ValueError(
                "initial_weights are the encoder's too: leave out encoder_weights and pretrained"
            )
        return self


@dataclass(frozen=True, config=_STRICT)
class TextOptimisationConfig:
    """How a language model's weights are found.

    The text is cut into `streams` pieces of equal length, read side by side, `steps` tokens at a
    time: gradients go back that far, and the hidden state goes on (truncated backpropagation
    through time). The rest as in `OptimisationConfig`; validation is the mean negative
    log-probability of a token, and the less the better.
    """

    epochs: Positive = 20
    streams: Positive = 64
    steps: Positive = 128
    learning_rate: Annotated[float, Field(gt=0)] = 3e-3
    final_rate: Fraction = 0.01
    warmup: Annotated[int, Field(ge=0)] = 100
    weight_decay: NotNegative = 0.0
    clip_norm: Annotated[float, Field(gt=0)] = 1.0
    average: Fraction = 0.99
    patience: Positive = 3


@dataclass(frozen=True, config=_STRICT)
class TextRecipe:
    """All that a language model's training depends on.

    `corpus` is a text file in UTF-8, its path as in `DataConfig`. It is cut into
    `validation_pieces` of equal length, and the last `validation_share` of each validates
    (char-rnn does so with 50 pieces); of the rest `characters` trains on that many of the first
    alone. Where texts end by themselves (`ends`), each line is one. `min_count` is how often the
    training text must hold a token for it to be learned. A sample that goes on from `prompt` is
    shown at every validation.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=64)]
    corpus: str
    version: Annotated[str, Field(min_length=1, max_length=64)] = "1"
    seed: int = 0
    level: Level = "character"
    ends: bool = False
    characters: Positive | None = None
    validation_share: Annotated[float, Field(gt=0, lt=1)] = 0.05
    validation_pieces: Positive = 1
    min_count: Positive = 1
    network: RecurrentConfig = RecurrentConfig()
    sampling: SamplingConfig = SamplingConfig()
    optimisation: TextOptimisationConfig = TextOptimisationConfig()
    prompt: str = ""
    device: Literal["auto", "cpu"] = "auto"
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    checkpoint_steps: Positive = 500


def read_recipe(path: Path, kind: type[Recipe], seed: int | None = None) -> Recipe:
    """Read a recipe of a kind: TOML, or JSON as runs leave it.

    Args:
        path: of the recipe.
        kind: what is trained.
        seed: in place of the recipe's own, where one is given.

    Raises:
        ValueError: it is neither, or says something that a recipe may not say.
        FileNotFoundError: it is not there.
    """
    language, loads = ("JSON", json.loads) if path.suffix == ".json" else ("TOML", tomllib.loads)
    try:
        data = loads(path.read_text(encoding="utf-8"))
        if seed is not None:
            data["seed"] = seed
        recipe: Recipe = TypeAdapter(kind).validate_python(data)
        return recipe
    except (tomllib.TOMLDecodeError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not {language}: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        raise ValueError(f"{path}: {where}: {first['msg']}") from error


def data_path(relative: str) -> str:
    """Resolve a path (or pattern) of a recipe, see `DataConfig`."""
    return str(Path(os.environ.get("UNROLLED_DATA", "data")) / relative)
