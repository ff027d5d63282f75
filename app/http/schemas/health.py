"""`GET /health/live` and `GET /health/ready`."""

from typing import Literal

from pydantic import BaseModel

__all__ = ["Health"]


class Health(BaseModel):
    """The state of the service."""

    status: Literal["live", "ready"]
