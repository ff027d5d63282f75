"""What the bodies of requests for texts have in common."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["ModelName", "StrictRequest"]

ModelName = Annotated[
    str | None,
    Field(
        max_length=64,
        description="A name from `GET /models`; optional if only one model fits the request.",
    ),
]


class StrictRequest(BaseModel):
    """A JSON body without fields of other names or types."""

    model_config = ConfigDict(extra="forbid", strict=True)
