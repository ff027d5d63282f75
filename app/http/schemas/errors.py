"""The body of every error response."""

from pydantic import BaseModel, Field

__all__ = ["ErrorDetail", "ErrorResponse"]


class ErrorDetail(BaseModel):
    """What is wrong, for programs and for people."""

    code: str = Field(description="For programs.", examples=["unsupported_image"])
    message: str = Field(
        description="For people: what is wrong, and what would be right.",
        examples=["unsupported image format: send JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF"],
    )
    request_id: str | None = Field(
        description="Also in `X-Request-ID` and in the log.",
        examples=["0e4d0aa1f2f34d0e9a1a3a6f6e1b8a52"],
    )


class ErrorResponse(BaseModel):
    """An error."""

    error: ErrorDetail
