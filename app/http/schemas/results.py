"""What the parts of all responses have in common."""

from pydantic import BaseModel, ConfigDict

__all__ = ["Result"]


class Result(BaseModel):
    """A part of a response, filled from a dataclass of the same field names."""

    model_config = ConfigDict(from_attributes=True, frozen=True, protected_namespaces=())
