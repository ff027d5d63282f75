"""Every step of a search for captions, as responses show it."""

from pydantic import Field

from app.http.schemas.results import Result

__all__ = ["CandidateResult", "EndingResult", "StepResult", "TraceResult"]


class CandidateResult(Result):
    """A sequence that grew by a token."""

    token: str
    parent: int | None = Field(
        None,
        description="The place of the sequence that it grew from among the candidates of the step "
        "before; absent in the first step.",
    )
    logprob: float = Field(le=0, description="Log-probability of the token.")
    total: float = Field(le=0, description="Log-probability of the sequence.")
    kept: bool = Field(description="Whether the beam keeps it, so that it may grow further.")
    caption: int | None = Field(
        None, description="Its place among `captions`, if it is one that was cut off."
    )


class EndingResult(Result):
    """A sequence that the end token ended, and that was among the best so far."""

    parent: int | None = Field(
        None, description="The place of the sequence among the candidates of the step before."
    )
    logprob: float = Field(le=0, description="Log-probability of the end token.")
    total: float = Field(le=0, description="Log-probability of the sequence.")
    score: float = Field(le=0, description="`total / length ** length_penalty`.")
    caption: int | None = Field(None, description="Its place among `captions`, if it is one.")


class StepResult(Result):
    """A step of the search: which sequences end, and how others may go on, likeliest first."""

    endings: list[EndingResult]
    candidates: list[CandidateResult]


class TraceResult(Result):
    """Every step of the search."""

    steps: list[StepResult]
