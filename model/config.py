"""What a bundle's `config.json` holds, as frozen dataclasses.

Knows names and ranges; knows nothing of files, tensors or how any of it is used.
"""

from dataclasses import field
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass

from model.vocabulary import Level

FORMAT: Literal[2] = 2

_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)

CellName = Literal["rnn", "lstm", "gru", "mut1", "mut2", "mut3"]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[int, Field(ge=1)]
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


@dataclass(frozen=True, config=_STRICT)
class PreprocessingConfig:
    """How a picture becomes the tensor that the encoder expects.

    `squash` shows the whole picture at `size` x `size` whatever its shape; `crop` keeps the shape
    and cuts the centre square. `mean` and `std` are for pixels scaled to 0..1, in RGB order.
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


@dataclass(frozen=True, config=_STRICT)
class EncoderConfig:
    """Which CNN: `timm/NAME` or `torchvision/NAME`."""

    name: Annotated[str, Field(pattern=r"^(timm|torchvision)/[A-Za-z0-9_.]+$")] = (
        "timm/tf_efficientnet_lite0"
    )


@dataclass(frozen=True, config=_STRICT)
class DecoderConfig:
    """Sizes of the caption decoder.

    `kind` is `attention` (looks over the grid at every step) or `global` (Show and Tell: sees one
    pooled feature, once, before the first word), `cell` the recurrent cell. `attention_heads`
    counts the heads of `dot` attention; `additive` has one. `detected_words` is how many of the
    commonest words are looked for in the whole picture before the first is written (0: none, see
    `model.networks.word_detector`).
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


@dataclass(frozen=True, config=_STRICT)
class DecodingConfig:
    """How captions are searched for, unless a request says otherwise.

    `length_penalty` is the exponent alpha of `logprob / length ** alpha`, by which hypotheses are
    ranked: 0 ranks by `logprob`, 1 by `mean_logprob`. `no_repeat_ngram_size` n forbids any n words
    in a row to come twice (0: nothing is forbidden). `no_echo_words` are words on whose two sides
    the same words never stand ("a red shirt and a red shirt"). With `consensus` the captions that
    the beam finds are put into another order, by what people said of pictures that look alike (see
    `ConsensusConfig`).
    """

    beam_size: Annotated[int, Field(ge=1, le=10)] = 3
    num_captions: Annotated[int, Field(ge=1, le=10)] = 1
    max_length: Annotated[int, Field(ge=1, le=50)] = 20
    length_penalty: Annotated[float, Field(ge=0, le=2)] = 0.0
    no_repeat_ngram_size: Annotated[int, Field(ge=0, le=10)] = 0
    no_echo_words: tuple[str, ...] = ()
    consensus: bool = False

    @model_validator(mode="after")
    def _captions_fit_the_beam(self) -> "DecodingConfig":
        if self.num_captions > self.beam_size:
            raise ValueError(
                f"num_captions ({self.num_captions}) must be at most "
                f"beam_size ({self.beam_size}): a beam holds no more"
            )
        return self


@dataclass(frozen=True, config=_STRICT)
class CalibrationConfig:
    """The chance that a caption is good, from how likely the captioner finds it.

    chance = sigmoid(intercept + sum of coefficient x feature). The features are of a caption's
    log-probabilities: their sum (`logprob`), mean (`mean_logprob`) and least (`lowest_logprob`);
    the number of tokens, whether it is finished (1 or 0), the natural logarithm of the beam size
    that found it, and its agreement with what people said of pictures that look alike.

    A caption is good where it is nearer to people's captions of its picture, by CIDEr-D, than the
    share `level` of people's own captions are to each other (see `model.evaluation.quality`).
    `cider` says which CIDEr-D that was, 0 to 10, on each set whose captions were fitted.
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


@dataclass(frozen=True, config=_STRICT)
class ConsensusConfig:
    """How captions are put into order by what people said of pictures that look alike.

    The `neighbours` pictures nearest by the cosine of their features count, each by
    exp(cosine / `temperature`); captions are ranked by their agreement with these, 0 to 1, plus
    `likelihood` times `mean_logprob` (see `model.captioning.consensus`).
    """

    neighbours: Positive = 20
    temperature: Annotated[float, Field(gt=0)] = 0.2
    likelihood: Annotated[float, Field(ge=0)] = 0.1


@dataclass(frozen=True, config=_STRICT)
class GoldenConfig:
    """A picture in the bundle, and the caption that the default decoding gives it."""

    file: Annotated[str, Field(pattern=r"^golden/[0-9]{1,2}\.png$")]
    text: str
    logprob: Annotated[float, Field(le=0)]


@dataclass(frozen=True, config=_STRICT)
class CaptionerConfig:
    """A captioner's whole `config.json`.

    `provenance` says where the weights come from (data, licence, recipe); `scores` maps a test
    set and a beam size to metrics; `sha256` maps each other file of the bundle to its digest.
    `consensus`, `calibration` and `golden` are what `unrolled finalize captioner` adds, for the
    order of captions, for confidence and for the self-test.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=64)]
    version: Annotated[str, Field(min_length=1, max_length=64)]
    preprocessing: PreprocessingConfig
    encoder: EncoderConfig
    decoder: DecoderConfig
    decoding: DecodingConfig
    consensus: ConsensusConfig | None = None
    calibration: CalibrationConfig | None = None
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


@dataclass(frozen=True, config=_STRICT)
class RecurrentConfig:
    """Sizes of a language model.

    `embedding_size` None reads tokens as one-hot vectors, as char-rnn does. `dropout` acts
    on embedded tokens, between layers and before the output. With `tie_output` the embedding
    writes too.
    """

    cell: CellName = "lstm"
    hidden_size: Positive = 512
    layers: Annotated[int, Field(ge=1, le=16)] = 1
    embedding_size: Positive | None = None
    dropout: Fraction = 0.0
    tie_output: bool = False

    @model_validator(mode="after")
    def _tied_to_something(self) -> "RecurrentConfig":
        if self.tie_output and self.embedding_size is None:
            raise ValueError("tie_output needs an embedding: set embedding_size")
        return self


@dataclass(frozen=True, config=_STRICT)
class SamplingConfig:
    """How text is drawn, unless a request says otherwise.

    Log-probabilities are divided by `temperature` (0 takes the likeliest token always); then the
    `top_k` likeliest tokens are kept (0: all), and of these the likeliest that together reach
    `top_p`. `no_repeat_ngram_size` n forbids any n tokens in a row to come twice (0: nothing is
    forbidden).
    """

    max_tokens: Annotated[int, Field(ge=1, le=10_000)] = 300
    temperature: Annotated[float, Field(ge=0, le=10)] = 1.0
    top_k: Annotated[int, Field(ge=0)] = 0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    no_repeat_ngram_size: Annotated[int, Field(ge=0, le=100)] = 0


@dataclass(frozen=True, config=_STRICT)
class TextConfig:
    """A language model's whole `config.json`; the rest as in `CaptionerConfig`.

    `level` is what a token is, `ends` whether texts end by themselves.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=64)]
    version: Annotated[str, Field(min_length=1, max_length=64)]
    level: Level
    network: RecurrentConfig
    sampling: SamplingConfig
    ends: bool = False
    kind: Literal["text"] = "text"
    format: Literal[2] = FORMAT
    provenance: dict[str, Any] = field(default_factory=dict)
    scores: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    sha256: dict[str, str] = field(default_factory=dict)


BundleConfig = Annotated[CaptionerConfig | TextConfig, Field(discriminator="kind")]
