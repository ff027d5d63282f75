"""The configuration of a captioner's bundle."""

from dataclasses import field
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from model.config.base import FORMAT, STRICT, CellName, Fraction, Name, Positive, Version
from model.config.decoding import DecodingConfig

__all__ = [
    "CalibrationConfig",
    "CaptionerConfig",
    "ConsensusConfig",
    "DecoderConfig",
    "EncoderConfig",
    "FeatureName",
    "GoldenConfig",
    "PreprocessingConfig",
    "TaggingConfig",
    "Triple",
]

Triple = tuple[float, float, float]
FeatureName = Literal[
    "mean_logprob",
    "logprob",
    "lowest_logprob",
    "tokens",
    "finished",
    "log_beam_size",
    "agreement",
    "log_agreement",
]


@dataclass(frozen=True, config=STRICT)
class PreprocessingConfig:
    """How a picture is converted to the tensor that the encoder expects.

    `squash` resizes the whole picture to `size` x `size`, whatever its shape; `crop` keeps the
    proportions and takes the centre square. `mean` and `std` are for pixels scaled to 0..1, in RGB
    order.
    """

    size: Annotated[int, Field(ge=8, le=2048)] = 224
    resize: Literal["squash", "crop"] = "squash"
    mean: Triple = (127 / 255, 127 / 255, 127 / 255)
    std: Triple = (128 / 255, 128 / 255, 128 / 255)

    @model_validator(mode="after")
    def _std_is_positive(self) -> "PreprocessingConfig":
        if min(self.std) <= 0:
            raise ValueError(f"std must be positive in every channel, got {self.std}")
        return self


@dataclass(frozen=True, config=STRICT)
class EncoderConfig:
    """The name of a CNN: `timm/NAME` or `torchvision/NAME`."""

    name: Annotated[str, Field(pattern=r"^(timm|torchvision)/[A-Za-z0-9_.]+$")] = (
        "timm/tf_efficientnet_lite0"
    )


@dataclass(frozen=True, config=STRICT)
class DecoderConfig:
    """Sizes of the caption decoder.

    `kind` is `attention` (attends to the grid at every step) or `global` (Show and Tell: reads one
    pooled feature, once, before the first word); `cell` is the recurrent cell. `attention_heads` is
    the number of heads of `dot` attention; `additive` has one. `detected_words` is how many of the
    commonest words are detected in the whole picture first (0: none, see
    `model.networks.word_detector`). `class_names` is how many words name the `classes` of the CNN's
    own classifier (0: none, see `model.networks.class_names`).
    """

    kind: Literal["attention", "global"] = "attention"
    cell: CellName = "lstm"
    embedding_size: Positive = 512
    hidden_size: Positive = 512
    attention: Literal["additive", "dot"] = "additive"
    attention_size: Positive = 512
    attention_heads: Positive = 1
    dropout: Fraction = 0.5
    tie_output: bool = True
    detected_words: Annotated[int, Field(ge=0)] = 0
    classes: Annotated[int, Field(ge=0)] = 0
    class_names: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _names_need_classes(self) -> "DecoderConfig":
        if self.class_names and not (self.classes and self.detected_words):
            raise ValueError("class_names needs detected_words and the number of classes")
        return self

    @model_validator(mode="after")
    def _heads_divide(self) -> "DecoderConfig":
        if self.attention == "additive" and self.attention_heads != 1:
            raise ValueError("additive attention has one head: set attention_heads to 1")
        for size in ("attention_size", "hidden_size"):
            if getattr(self, size) % self.attention_heads:
                raise ValueError(
                    f"attention_heads ({self.attention_heads}) must divide "
                    f"{size} ({getattr(self, size)})"
                )
        return self


@dataclass(frozen=True, config=STRICT)
class CalibrationConfig:
    """A calibrated probability that a caption is good, from its log-probabilities.

    probability = sigmoid(intercept + sum of coefficient x feature). The features are the sum
    (`logprob`), mean (`mean_logprob`) and minimum (`lowest_logprob`) of a caption's
    log-probabilities; the number of tokens; whether it is finished (1 or 0); the natural logarithm
    of the beam size; and its agreement with the words that people would use of the picture.

    A caption is good if it is closer to people's captions of its picture, by CIDEr-D, than the
    share `level` of people's own captions are to each other (see `model.evaluation.quality`).
    `cider` is that CIDEr-D, 0 to 10, on each set that the calibration was fitted to.
    """

    features: Annotated[tuple[FeatureName, ...], Field(min_length=1)]
    coefficients: tuple[float, ...]
    intercept: float
    level: Fraction
    cider: dict[str, float] = field(default_factory=dict)

    @model_validator(mode="after")
    def _one_coefficient_a_feature(self) -> "CalibrationConfig":
        if len(self.coefficients) != len(self.features):
            raise ValueError(
                f"{len(self.features)} features need as many coefficients, "
                f"not {len(self.coefficients)}"
            )
        return self


@dataclass(frozen=True, config=STRICT)
class ConsensusConfig:
    """How captions are reranked by their agreement with the words that people would use.

    Captions are ranked by that agreement, 0 to 1, plus `likelihood` times `mean_logprob`, plus
    `rarity` times how rare their rarest words are, in nats (see `model.captioning.consensus`). The
    search keeps `candidates` times its beam size of captions that have ended, which takes it no
    more steps.
    """

    likelihood: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.25
    rarity: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    candidates: Annotated[int, Field(ge=1, le=10)] = 1

    @model_validator(mode="before")
    @classmethod
    def _not_by_neighbours(cls, data: Any) -> Any:
        if isinstance(data, dict) and "neighbours" in data:
            raise ValueError(
                "this consensus is of the kind before version 4.3, which is not read any more: run "
                "`unrolled finalize captioner` again on the bundle that was finalized"
            )
        return data


@dataclass(frozen=True, config=STRICT)
class TaggingConfig:
    """How probable the words are that the word detector finds, see `model.captioning.tags`.

    probability = sigmoid(evidence x the detector's evidence + usual x the word's log-odds for any
    picture + intercept): the chance that at least one of five people who describe the picture uses
    the word.
    """

    evidence: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    usual: Annotated[float, Field(allow_inf_nan=False)]
    intercept: Annotated[float, Field(allow_inf_nan=False)]


@dataclass(frozen=True, config=STRICT)
class GoldenConfig:
    """A picture in the bundle with the caption that the default decoding finds, for a self-test."""

    file: Annotated[str, Field(pattern=r"^golden/[0-9]{1,2}\.png$")]
    text: str
    logprob: Annotated[float, Field(le=0)]


@dataclass(frozen=True, config=STRICT)
class CaptionerConfig:
    """A captioner's whole `config.json`.

    `provenance` records where the weights come from (data, licence, recipe); `scores` maps a test
    set and a beam size to metrics; `sha256` maps each other file of the bundle to its digest.
    Finalizing a captioner adds `consensus`, `calibration`, `tagging` and `golden`, for reranking,
    confidence, the probabilities of tags and the self-test.
    """

    name: Name
    version: Version
    preprocessing: PreprocessingConfig
    encoder: EncoderConfig
    decoder: DecoderConfig
    decoding: DecodingConfig
    consensus: ConsensusConfig | None = None
    calibration: CalibrationConfig | None = None
    tagging: TaggingConfig | None = None
    golden: Annotated[tuple[GoldenConfig, ...], Field(max_length=10)] = ()
    kind: Literal["captioner"] = "captioner"
    format: Literal[2] = FORMAT
    provenance: dict[str, Any] = field(default_factory=dict)
    scores: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    sha256: dict[str, str] = field(default_factory=dict)

    @model_validator(mode="after")
    def _consensus_is_there(self) -> "CaptionerConfig":
        features = () if self.calibration is None else self.calibration.features
        if self.consensus is None and (self.decoding.consensus or "agreement" in features):
            raise ValueError(
                "decoding or calibration ask for a consensus, and the bundle has none: "
                "`unrolled finalize captioner` puts one into it"
            )
        return self
