"""Training recipes (TOML files): their settings, with ranges and defaults."""

import glob
import json
import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic.dataclasses import dataclass

from model.config import (
    DecoderConfig,
    DecodingConfig,
    EncoderConfig,
    Fraction,
    Name,
    Positive,
    PreprocessingConfig,
    RecurrentConfig,
    SamplingConfig,
    Version,
    describe_fault,
)
from model.data.augmentation import CropConfig
from model.vocabulary import Level

__all__ = [
    "KEPT_FROM_A_BUNDLE",
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

KEPT_FROM_A_BUNDLE = "keep_vocabulary keeps that of a bundle: initial_weights must name its folder"

Recipe = TypeVar("Recipe", "CaptionerRecipe", "TextRecipe")

NotNegative = Annotated[float, Field(ge=0)]


@dataclass(frozen=True, config=_STRICT)
class DataConfig:
    """One captioned set: its Karpathy JSON and where its pictures are (see `PictureStore`).

    `weight` is how many times an epoch shows each of its training pictures on average.
    `lookalikes` is a file that lists which of them look alike (see `model.data.lookalikes`).
    Relative paths are relative to the folder in the environment variable UNROLLED_DATA, by default
    `data`.
    """

    captions: str
    pictures: Annotated[tuple[str, ...], Field(min_length=1)]
    weight: Annotated[float, Field(gt=0)] = 1.0
    lookalikes: str | None = None


@dataclass(frozen=True, config=_STRICT)
class OptimisationConfig:
    """How a captioner's weights are trained.

    The learning rate of AdamW rises linearly for `warmup` steps and falls along a half cosine to
    `final_rate` of its peak. `tune_from` is the encoder's first trained stage (None: frozen), at
    `encoder_learning_rate`. `sampling` is the probability of scheduled sampling in the last
    epoch, rising linearly from 0 in the first. `average` is the decay per step of the moving
    average of the weights, which is what is validated and kept. Training stops when the validation
    CIDEr has not risen for `patience` epochs.
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

    `samples` captions are drawn for each picture, at a `temperature`. `repetition_penalty` is
    subtracted from the reward of a caption that repeats itself, on the scale of CIDEr, 0 to 10;
    `bleu_weight` is what a BLEU-4 of 1 adds. `lookalike_share` of the reward is for resembling the
    captions of the `lookalikes` pictures that look most like it, in the sets that have a file of
    them. `cross_entropy_share` of the loss is the cross-entropy of the human captions, which keeps
    rare words that are hardly rewarded.
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
    """Everything that a captioner's training depends on.

    `encoder_weights` is a safetensors file with the encoder library's names; `pretrained` gets the
    weights from that library instead; with neither they are random. `initial_weights` are those of
    a whole network, from another run: its `best.safetensors`, or a bundle. `self_critical` rewards
    the captions that the network draws (None: cross-entropy alone). `views` is the number of views
    of a picture: unchanged, mirrored, and crops. A frozen encoder's cache holds them all; with a
    tuned encoder the crops are new in each epoch. `crops` says how much they differ from the
    picture. `min_count` is how often a word must occur in the training captions to be learned; with
    `keep_vocabulary` it is ignored, and the words are those of the bundle that `initial_weights`
    names. Any other word is then an unknown word.
    `device` `auto` is a GPU if there is one.
    """

    name: Name
    data: Annotated[tuple[DataConfig, ...], Field(min_length=1)]
    version: Version = "1"
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
    keep_vocabulary: bool = False
    max_words: Annotated[int, Field(ge=1, le=50)] = 20
    views: Positive = 2
    crops: CropConfig = CropConfig()
    feature_cache: str = "cache/features"
    device: Literal["auto", "cpu"] = "auto"
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    workers: Annotated[int, Field(ge=0)] = 0
    checkpoint_minutes: Annotated[float, Field(gt=0)] = 5.0

    @model_validator(mode="after")
    def _check_weights(self) -> "CaptionerRecipe":
        if self.initial_weights and (self.encoder_weights or self.pretrained):
            raise ValueError(
                "initial_weights include the encoder's: leave out encoder_weights and pretrained"
            )
        if self.keep_vocabulary and not self.initial_weights:
            raise ValueError(KEPT_FROM_A_BUNDLE)
        if self.decoder.class_names and not self.keep_vocabulary:
            raise ValueError(
                "class_names are given to a trained captioner by scripts/name_classes.py: leave "
                "them out, or keep those of a bundle with initial_weights and keep_vocabulary"
            )
        return self


@dataclass(frozen=True, config=_STRICT)
class TextOptimisationConfig:
    """How a language model's weights are trained.

    The text is cut into `streams` pieces of equal length, read side by side, `steps` tokens at a
    time: gradients go back that far, and the hidden state is carried on (truncated backpropagation
    through time). The rest is as in `OptimisationConfig`, except that validation measures the mean
    negative log-probability of a token, and lower is better.
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
    """Everything that a language model's training depends on.

    `corpus` is a text file in UTF-8, its path as in `DataConfig`. It is cut into
    `validation_pieces` of equal length, and the last `validation_share` of each is for validation
    (char-rnn does this with 50 pieces); `characters` limits training to that many characters from
    the beginning of the rest. If `ends` is set, each line is a text that ends by itself.
    `min_count` is how often a token must occur in the training text to be learned. `beginning` is
    as in `TextConfig`. `initial_weights` are those of another run: its `best.safetensors`, or a
    bundle. At every validation a sample that continues `prompt` is shown. A checkpoint is written
    every `checkpoint_steps` steps and every `checkpoint_minutes`.
    """

    name: Name
    corpus: str
    version: Version = "1"
    seed: int = 0
    level: Level = "character"
    ends: bool = False
    characters: Positive | None = None
    validation_share: Annotated[float, Field(gt=0, lt=1)] = 0.05
    validation_pieces: Positive = 1
    min_count: Positive = 1
    beginning: Annotated[str, Field(max_length=1000)] = ""
    initial_weights: str | None = None
    network: RecurrentConfig = RecurrentConfig()
    sampling: SamplingConfig = SamplingConfig()
    optimisation: TextOptimisationConfig = TextOptimisationConfig()
    prompt: str = ""
    device: Literal["auto", "cpu"] = "auto"
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    checkpoint_steps: Positive = 500
    checkpoint_minutes: Annotated[float, Field(gt=0)] = 5.0


def read_recipe(path: Path, kind: type[Recipe], seed: int | None = None) -> Recipe:
    """Read a recipe: TOML, or JSON as runs write it.

    Args:
        path: of the recipe.
        kind: the class of the recipe.
        seed: replaces the recipe's, if given.

    Raises:
        ValueError: the file is not valid, or a setting is unknown, missing or out of range.
        FileNotFoundError: there is no such file.
    """
    language, loads = ("JSON", json.loads) if path.suffix == ".json" else ("TOML", tomllib.loads)
    try:
        data = loads(path.read_text(encoding="utf-8"))
        if seed is not None:
            data["seed"] = seed
        recipe: Recipe = TypeAdapter(kind).validate_python(data)
        return recipe
    except (tomllib.TOMLDecodeError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not valid {language}: {error}") from error
    except ValidationError as error:
        if command := _other_command(data, kind):
            raise ValueError(f"{path}: this is a recipe for `unrolled train {command}`") from error
        raise ValueError(f"{path}: {describe_fault(error)}") from error


def data_path(relative: str) -> str:
    """Resolve a path (or pattern) of a recipe, see `DataConfig`.

    Raises:
        FileNotFoundError: nothing is there; the message says where it was looked for, and why.
    """
    folder = os.environ.get("UNROLLED_DATA")
    path = str(Path(folder or "data").expanduser() / relative)
    if Path(path).exists() or glob.glob(path, recursive=True):  # noqa: PTH207 - absolute patterns
        return path
    if Path(relative).is_absolute():
        raise FileNotFoundError(f"there is no {path}, which the recipe names")
    where = "which UNROLLED_DATA names" if folder else "the default, as UNROLLED_DATA is unset"
    raise FileNotFoundError(
        f"the recipe's {relative} is not in {path.removesuffix(relative)}, {where}: set "
        "UNROLLED_DATA to the folder that holds the data"
    )


def _other_command(data: Any, kind: type[CaptionerRecipe] | type[TextRecipe]) -> str | None:
    """Return the command that a recipe is for, if that is not the one for this kind."""
    if kind is CaptionerRecipe:
        return "text" if "corpus" in data and "data" not in data else None
    return "captioner" if "data" in data and "corpus" not in data else None
