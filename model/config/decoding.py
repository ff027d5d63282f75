"""How captions are searched for, or drawn."""

from typing import Annotated, Any

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from model.config.base import STRICT, merge_config

__all__ = ["DecodingConfig"]


@dataclass(frozen=True, config=STRICT)
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
    no_open_endings: Annotated[
        bool,
        Field(description='No finished caption ends where it cannot: rules out "a dog with a".'),
    ] = False
    consensus: Annotated[
        bool,
        Field(
            description="Order the captions of a beam by their agreement with the words that "
            "people would use of the picture; needs a bundle with expected words."
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
