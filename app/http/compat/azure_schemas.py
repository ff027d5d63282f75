"""The requests and answers of Azure's Image Analysis, with its names."""

# ruff: noqa: N815 - Azure's names

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from app.http.deps import error_responses

__all__ = [
    "BODY",
    "AnalyzeResponse",
    "AzureCaption",
    "AzureDenseCaption",
    "AzureErrorResponse",
    "AzureTag",
    "BoundingBox",
    "CaptionedTags",
    "DenseCaptions",
    "DescribeResponse",
    "Description",
    "ImageUrl",
    "Size",
    "SizeAndFormat",
    "TagValues",
    "azure_errors",
]

Confidence = Annotated[
    float,
    Field(
        ge=0,
        le=1,
        description="Of a caption: the chance that it is good, if the captioner is calibrated, or "
        "else the mean probability of its words. Of a tag: that people name it.",
    ),
]


class ImageUrl(BaseModel):
    """Where the picture is; fetched only from hosts that the operator lists."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"url": "data:image/gif;base64,R0lGODlhAQABAIAAAP///wAAACwAAAAAAQABAAACAkQBADs="}
            ]
        }
    )

    url: str = Field(description="An http or https URL, or a data URI.")


class _Inner(BaseModel):
    code: str = Field(examples=["InvalidImageFormat"])
    message: str


class _AzureError(BaseModel):
    code: str = Field(examples=["InvalidRequest"])
    message: str
    innererror: _Inner


class AzureErrorResponse(BaseModel):
    """What is wrong."""

    error: _AzureError


class AzureCaption(BaseModel):
    """A caption."""

    text: str
    confidence: Confidence


class BoundingBox(BaseModel):
    """A part of the picture, in pixels."""

    x: int
    y: int
    w: int
    h: int


class AzureDenseCaption(AzureCaption):
    """A caption of a part of the picture."""

    boundingBox: BoundingBox


class DenseCaptions(BaseModel):
    """The caption of the whole picture, as of a part."""

    values: list[AzureDenseCaption]


class AzureTag(BaseModel):
    """A word that the picture suggests."""

    name: str
    confidence: Confidence


class TagValues(BaseModel):
    """The tags, likeliest first."""

    values: list[AzureTag]


class Size(BaseModel):
    """The size of the upright picture, in pixels."""

    width: int
    height: int


class AnalyzeResponse(BaseModel):
    """What was asked for, of what there is."""

    captionResult: AzureCaption | None = None
    denseCaptionsResult: DenseCaptions | None = None
    tagsResult: TagValues | None = None
    modelVersion: str
    metadata: Size


class SizeAndFormat(Size):
    """The size of the upright picture, and the format of its file."""

    format: str = Field(examples=["Jpeg"])


class Description(BaseModel):
    """Captions, best first, and the words of the tags."""

    tags: list[str]
    captions: list[AzureCaption]


class _Response(BaseModel):
    requestId: str
    metadata: SizeAndFormat
    modelVersion: str


class DescribeResponse(_Response):
    """A picture's captions."""

    description: Description


class CaptionedTags(_Response):
    """What was asked for, of what there is."""

    description: Description | None = None
    tags: list[AzureTag] | None = None


_BINARY = {"schema": {"type": "string", "format": "binary"}}

BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "The picture file, or where it is.",
        "content": {
            "application/octet-stream": _BINARY,
            "image/*": _BINARY,
            "application/json": {"schema": ImageUrl.model_json_schema()},
        },
    }
}


def azure_errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI documentation of a route's errors, in Azure's shape."""
    documented = error_responses(*statuses)
    return {status: entry | {"model": AzureErrorResponse} for status, entry in documented.items()}
