"""`GET /version`."""

from pydantic import BaseModel, Field

__all__ = ["ModelVersion", "Version"]


class ModelVersion(BaseModel):
    """A model and its version."""

    name: str
    version: str


class Version(BaseModel):
    """What is running."""

    version: str = Field(description="The version of Unrolled.", examples=["0.1.0"])
    python: str = Field(description="The version of Python.", examples=["3.12.8"])
    runtime: str | None = Field(
        description="What executes the captioner, if there is one.", examples=["openvino"]
    )
    device: str = Field(description="The device of the models.", examples=["cpu", "cuda:0"])
    precision: str = Field(description="Arithmetic of the captioner.", examples=["float32"])
    models: list[ModelVersion] = Field(description="The captioner first, if there is one.")
