"""Tokens of captions, and the likeliest at a place, as responses show them."""

from typing import Annotated

from pydantic import AliasChoices, Field

from app.http.schemas.results import Result

__all__ = ["TokenResult", "TopLogprobs", "TopTokenResult"]


class TopTokenResult(Result):
    """A token that could have been said at some place."""

    token: str
    logprob: float = Field(le=0, description="Natural logarithm of its probability there.")


TopLogprobs = Annotated[
    list[TopTokenResult] | None,
    Field(
        validation_alias=AliasChoices("top", "top_logprobs"),
        description="The likeliest tokens at this place, with `top_logprobs`. The token itself "
        "need not be one of them.",
    ),
]


class TokenResult(Result):
    """A word of a caption, or the end token."""

    token: str
    logprob: float = Field(le=0, description="Natural logarithm of the token's probability.")
    top_logprobs: TopLogprobs = None
    attention: list[list[float]] | None = Field(
        None,
        description="Attention weights over the picture, rows x columns; they sum to 1.",
    )
    overlay: str | None = Field(
        None,
        description="With `overlay`: a PNG in base64, the picture with its longer side at 224 "
        "pixels under a heat map of the attention.",
    )
    image_gain: float | None = Field(
        None,
        description="How much the picture raises `logprob`: the difference from what it would be "
        "for an average picture. Near 0 the word is a language habit; below 0 the picture makes "
        "it less likely.",
    )
