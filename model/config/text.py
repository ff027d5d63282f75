"""The configuration of a language model's bundle."""

from dataclasses import field
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from model.config.base import (
    FORMAT,
    STRICT,
    CellName,
    Fraction,
    Name,
    Positive,
    Version,
    merge_config,
)
from model.vocabulary import Level

__all__ = ["RecurrentConfig", "SamplingConfig", "TextConfig"]


@dataclass(frozen=True, config=STRICT)
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


@dataclass(frozen=True, config=STRICT)
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


@dataclass(frozen=True, config=STRICT)
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
