"""The configurations in a bundle's `config.json`, as frozen dataclasses that check their values."""

from collections.abc import Mapping
from dataclasses import field, fields, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import ConfigDict, Field, ValidationError, model_validator
from pydantic.dataclasses import dataclass

from model.vocabulary import Level

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

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

FORMAT: Literal[2] = 2

MOST_FRAMES = 64  # of a clip, that are captioned

_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)

CellName = Literal["rnn", "lstm", "gru", "gru-cho", "mut1", "mut2", "mut3"]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[int, Field(ge=1)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=64)]
Version = Annotated[str, Field(min_length=1, max_length=64)]
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


@dataclass(frozen=True, config=_STRICT)
class EncoderConfig:
    """The name of a CNN: `timm/NAME` or `torchvision/NAME`."""

    name: Annotated[str, Field(pattern=r"^(timm|torchvision)/[A-Za-z0-9_.]+$")] = (
        "timm/tf_efficientnet_lite0"
    )


@dataclass(frozen=True, config=_STRICT)
class DecoderConfig:
    """Sizes of the caption decoder.

    `kind` is `attention` (attends to the grid at every step) or `global` (Show and Tell: reads one
    pooled feature, once, before the first word); `cell` is the recurrent cell. `attention_heads` is
    the number of heads of `dot` attention; `additive` has one. `detected_words` is how many of the
    commonest words are detected in the whole picture first (0: none, see
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
    """How captions are found, unless a request overrides it.

    HTTP parameters, command-line options and the API page are made from these fields: to add an
    option, add a field here with its bounds and description, and use it in `model.decoding`.
    """

    beam_size: Annotated[
        int, Field(ge=1, le=10, description="Hypotheses kept at each step; 1 is greedy search.")
    ] = 3
    num_captions: Annotated[
        int,
        Field(
            ge=1,
            le=10,
            description="Captions to return, best first; a search finds at most `beam_size`.",
        ),
    ] = 1
    max_length: Annotated[
        int, Field(ge=1, le=50, description="Most tokens in a caption, the end token included.")
    ] = 20
    length_penalty: Annotated[
        float,
        Field(
            ge=0,
            le=2,
            description="Captions are ranked by `logprob / length ** length_penalty`: above 0 "
            "favours longer ones.",
        ),
    ] = 0.0
    no_repeat_ngram_size: Annotated[
        int,
        Field(
            ge=0,
            le=10,
            description="No n-gram of this many words occurs twice; 0: no limit.",
        ),
    ] = 0
    no_echo_words: Annotated[
        tuple[str, ...],
        Field(
            max_length=10,
            description="Words that never join a phrase with itself: `and` rules out "
            '"a red shirt and a red shirt".',
        ),
    ] = ()
    no_repeat_nouns: Annotated[
        bool,
        Field(
            description="No noun comes again with nothing but an article: rules out "
            '"a wave on a wave", but not "a dog and a black dog" or "a train at a train station".',
        ),
    ] = False
    consensus: Annotated[
        bool,
        Field(
            description="Order the captions of a beam by their agreement with captions of similar "
            "pictures; needs a bundle with a neighbour index."
        ),
    ] = False
    temperature: Annotated[
        float | None,
        Field(
            ge=0,
            le=10,
            description="Draw captions word by word at this temperature, rather than search for "
            "the likeliest: below 1 likely words come more often, 0 takes the likeliest always.",
        ),
    ] = None
    top_k: Annotated[
        int,
        Field(
            ge=0,
            le=1_000_000,
            description="With `temperature`: draw from the k likeliest words; 0: from all.",
        ),
    ] = 0
    top_p: Annotated[
        float,
        Field(
            gt=0,
            le=1,
            description="With `temperature`: draw from the likeliest words that reach this "
            "probability together.",
        ),
    ] = 1.0
    seed: Annotated[
        int | None,
        Field(
            ge=0,
            lt=2**63,
            description="With `temperature`: the same seed draws the same captions, one each with "
            "`seed`, `seed` + 1 and so on; they come back best first. Without a seed one is chosen "
            "at random.",
        ),
    ] = None

    @property
    def sampled(self) -> bool:
        """Whether captions are drawn, rather than searched for."""
        return self.temperature is not None

    @model_validator(mode="after")
    def _options_go_together(self) -> "DecodingConfig":
        if self.sampled:
            return self
        if self.num_captions > self.beam_size:
            raise ValueError(
                f"num_captions ({self.num_captions}) must be at most beam_size ({self.beam_size}): "
                f"a beam holds no more, so set beam_size to {self.num_captions} too"
            )
        if self.top_k or self.top_p < 1 or self.seed is not None:
            raise ValueError(
                "top_k, top_p and seed need a temperature: captions are drawn only with one"
            )
        return self

    def merge(self, **changes: Any) -> "DecodingConfig":
        """Return this configuration with changes; None changes nothing.

        If `beam_size` is smaller than the default `num_captions`, `num_captions` is lowered to it.

        Raises:
            ValueError: an option is unknown, out of range, or contradicts another.
        """
        given = {name: value for name, value in changes.items() if value is not None}
        beam_size = given.get("beam_size")
        if isinstance(beam_size, int) and "num_captions" not in given:
            given["num_captions"] = max(1, min(beam_size, self.num_captions))
        return merge_config(self, given)


@dataclass(frozen=True, config=_STRICT)
class CalibrationConfig:
    """A calibrated probability that a caption is good, from its log-probabilities.

    probability = sigmoid(intercept + sum of coefficient x feature). The features are the sum
    (`logprob`), mean (`mean_logprob`) and minimum (`lowest_logprob`) of a caption's
    log-probabilities; the number of tokens; whether it is finished (1 or 0); the natural logarithm
    of the beam size; and its agreement with people's captions of similar pictures.

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


@dataclass(frozen=True, config=_STRICT)
class ConsensusConfig:
    """How captions are reranked by their agreement with people's captions of similar pictures.

    The captions of the `neighbours` pictures with the most similar features count, each with the
    weight exp(cosine / `temperature`); captions are ranked by their agreement with these, 0 to 1,
    plus `likelihood` times `mean_logprob` (see `model.captioning.consensus`). The search keeps
    `candidates` times its beam size of captions that have ended, which takes it no more steps.
    """

    neighbours: Positive = 20
    temperature: Annotated[float, Field(gt=0)] = 0.2
    likelihood: Annotated[float, Field(ge=0)] = 0.1
    candidates: Annotated[int, Field(ge=1, le=10)] = 1


@dataclass(frozen=True, config=_STRICT)
class TaggingConfig:
    """How probable the words are that the word detector finds, see `model.captioning.tags`.

    probability = sigmoid(evidence x the detector's evidence + usual x the word's log-odds for any
    picture + intercept): the chance that at least one of five people who describe the picture uses
    the word.
    """

    evidence: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    usual: Annotated[float, Field(allow_inf_nan=False)]
    intercept: Annotated[float, Field(allow_inf_nan=False)]


@dataclass(frozen=True, config=_STRICT)
class GoldenConfig:
    """A picture in the bundle with the caption that the default decoding finds, for a self-test."""

    file: Annotated[str, Field(pattern=r"^golden/[0-9]{1,2}\.png$")]
    text: str
    logprob: Annotated[float, Field(le=0)]


@dataclass(frozen=True, config=_STRICT)
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


@dataclass(frozen=True, config=_STRICT)
class RecurrentConfig:
    """Sizes of a language model.

    With `embedding_size` None, tokens are one-hot vectors, as in char-rnn. `dropout` acts on
    embedded tokens, between layers and before the output. With `tie_output`, the output layer uses
    the embedding's weights.
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
    """How text is sampled, unless a request overrides it.

    As with `DecodingConfig`, HTTP parameters and command-line options are made from these fields.
    """

    max_tokens: Annotated[
        int, Field(ge=1, le=10_000, description="Most tokens; the service may set a lower bound.")
    ] = 300
    temperature: Annotated[
        float,
        Field(
            ge=0,
            le=10,
            description="Log-probabilities are divided by it: below 1 likely tokens come more "
            "often, 0 takes the likeliest always.",
        ),
    ] = 1.0
    top_k: Annotated[
        int, Field(ge=0, le=1_000_000, description="Draw from the k likeliest tokens; 0: from all.")
    ] = 0
    top_p: Annotated[
        float,
        Field(
            gt=0,
            le=1,
            description="Draw from the likeliest tokens that reach this probability together.",
        ),
    ] = 1.0
    no_repeat_ngram_size: Annotated[
        int,
        Field(
            ge=0,
            le=100,
            description="No n-gram of this many tokens occurs twice; 0: no limit.",
        ),
    ] = 0

    def merge(self, **changes: Any) -> "SamplingConfig":
        """Return this configuration with changes; None changes nothing.

        Raises:
            ValueError: an option is unknown or out of range.
        """
        given = {name: value for name, value in changes.items() if value is not None}
        return merge_config(self, given)


@dataclass(frozen=True, config=_STRICT)
class TextConfig:
    """A language model's whole `config.json`; other fields are as in `CaptionerConfig`.

    `level` is what a token is; `ends` is whether texts end by themselves. `beginning` is what
    stands before a text that has no prompt, such as a blank line: without it a model that was
    trained on cuts of one long text would begin anywhere, in the middle of a word too.
    """

    name: Name
    version: Version
    level: Level
    network: RecurrentConfig
    sampling: SamplingConfig
    ends: bool = False
    beginning: Annotated[str, Field(max_length=1000)] = ""
    kind: Literal["text"] = "text"
    format: Literal[2] = FORMAT
    provenance: dict[str, Any] = field(default_factory=dict)
    scores: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    sha256: dict[str, str] = field(default_factory=dict)


BundleConfig = Annotated[CaptionerConfig | TextConfig, Field(discriminator="kind")]


ConfigT = TypeVar("ConfigT", bound="DataclassInstance")


def merge_config(config: ConfigT, changes: Mapping[str, Any]) -> ConfigT:
    """Return a configuration with changes.

    Raises:
        ValueError: an option is unknown, out of range, or contradicts another; the message
            describes the first error.
    """
    known = [field.name for field in fields(config)]
    if unknown := sorted(set(changes) - set(known)):
        raise ValueError(f"unknown option {unknown[0]!r}: choose from {', '.join(known)}")
    try:
        return replace(config, **changes)
    except ValidationError as error:
        raise ValueError(describe_fault(error)) from error


def describe_fault(error: ValidationError) -> str:
    """Describe pydantic's first error in one line: the field, and what would be right."""
    fault = error.errors()[0]
    message = str(fault["msg"]).removeprefix("Value error, ")
    where = ".".join(map(str, fault["loc"]))
    return f"{where}: {message}" if where else message
