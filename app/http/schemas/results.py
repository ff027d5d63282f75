"""What the parts of all responses have in common."""

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["ModelResponse", "ModelTimingResult", "Result"]


class Result(BaseModel):
    """A part of a response, filled from a dataclass of the same field names."""

    model_config = ConfigDict(from_attributes=True, frozen=True, protected_namespaces=())


class ModelTimingResult(Result):
    """Time taken, in milliseconds."""

    model: float = Field(description="The model's work on this request.")
    total: float = Field(description="From the complete request to the result, waiting included.")


class ModelResponse(Result):
    """A response of a model to one request."""

    model: str
    model_version: str
    request_id: str
