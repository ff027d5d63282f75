"""What can go wrong, and the one shape in which a client is told.

Every error answers `{"error": {"code", "message", "request_id"}}`:

    ServiceError                  500 internal_error
    ├── MalformedBody             400 malformed_body
    │   └── EmptyBody             400 empty_body
    ├── BodyTooLarge              413 body_too_large
    ├── TextTooLong               413 text_too_long
    ├── UnsupportedContentType    415 unsupported_content_type
    ├── InvalidParameter          422 invalid_parameter
    ├── UnknownModel              404 unknown_model
    ├── PictureError              400 malformed_image
    │   ├── TooManyPixels         413 too_many_pixels
    │   └── UnsupportedImage      415 unsupported_image
    ├── ClientDisconnected                499 client_disconnected (for the log: nobody reads it)
    └── Unavailable               503 unavailable, with Retry-After
        ├── NotReady              503 not_ready
        ├── DeadlineExceeded               503 overdue
        └── Overloaded            429 overloaded

Knows HTTP statuses; does not know who raises what.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from asgi_correlation_id import correlation_id
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

__all__ = [
    "BodyTooLarge",
    "ClientDisconnected",
    "DeadlineExceeded",
    "EmptyBody",
    "InvalidParameter",
    "MalformedBody",
    "NotReady",
    "Overloaded",
    "PictureError",
    "ServiceError",
    "TextTooLong",
    "TooManyPixels",
    "Unavailable",
    "UnknownModel",
    "UnsupportedContentType",
    "UnsupportedImage",
    "describe_faults",
    "error_response",
    "install_handlers",
]


class ServiceError(Exception):
    """Anything that a client is told about; the message says what would be right."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"

    def __init__(self, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.headers = dict(headers or {})


class MalformedBody(ServiceError):
    """The body cannot be read as what its content type says."""

    status, code = 400, "malformed_body"


class EmptyBody(MalformedBody):
    """There is nothing in the body, or no picture where one is needed."""

    code = "empty_body"


class BodyTooLarge(ServiceError):
    """The body, or the picture file in it, has too many bytes."""

    status, code = 413, "body_too_large"


class TextTooLong(ServiceError):
    """A prompt or a text has too many characters."""

    status, code = 413, "text_too_long"


class UnsupportedContentType(ServiceError):
    """The request's form is none of those that the route takes."""

    status, code = 415, "unsupported_content_type"


class InvalidParameter(ServiceError):
    """A value is out of its range, of the wrong type, or unknown."""

    status, code = 422, "invalid_parameter"


class UnknownModel(ServiceError):
    """No model of this name is loaded."""

    status, code = 404, "unknown_model"


class PictureError(ServiceError):
    """A picture file that is damaged or cut short."""

    status, code = 400, "malformed_image"


class TooManyPixels(PictureError):
    """The picture's header promises more pixels than are accepted."""

    status, code = 413, "too_many_pixels"


class UnsupportedImage(PictureError):
    """The bytes are no picture, or one of a kind that is not read."""

    status, code = 415, "unsupported_image"


class ClientDisconnected(ServiceError):
    """The client hung up before its answer was ready."""

    status, code = 499, "client_disconnected"


class Unavailable(ServiceError):
    """Not now; `retry_after` seconds from now perhaps."""

    status, code = 503, "unavailable"

    def __init__(self, message: str, retry_after: float = 1.0) -> None:
        super().__init__(message, {"Retry-After": str(max(1, math.ceil(retry_after)))})


class NotReady(Unavailable):
    """The models are still being loaded."""

    code = "not_ready"


class DeadlineExceeded(Unavailable):
    """The answer was not ready by the deadline."""

    code = "overdue"


class Overloaded(Unavailable):
    """As many requests are in hand as the queue holds."""

    status, code = 429, "overloaded"


# What FastAPI puts before the names of parameters and fields.
_PARTS = {"query", "path", "header", "body"}

_HTTP_CODES = {400: "malformed_body", 404: "not_found", 405: "method_not_allowed"}


def install_handlers(app: FastAPI) -> None:
    """Give every error that a route can raise the one shape."""
    for kind in (ServiceError, HTTPException, RequestValidationError, ClientDisconnect):
        app.add_exception_handler(kind, _answer)


def error_response(
    status: int, code: str, message: str, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """Build the one shape, with this request's id."""
    error = {"code": code, "message": message, "request_id": correlation_id.get()}
    return JSONResponse({"error": error}, status_code=status, headers=headers)


def describe_faults(faults: Iterable[Mapping[str, Any]]) -> str:
    """Put pydantic's list of faults into one line."""
    return "; ".join(map(_describe, faults))


async def _answer(request: Request, error: Exception) -> JSONResponse:
    match error:
        case ServiceError():
            return error_response(error.status, error.code, error.message, error.headers)
        case RequestValidationError():
            message = describe_faults(error.errors())
            return error_response(InvalidParameter.status, InvalidParameter.code, message)
        case HTTPException(status_code=status, detail=detail):
            if status in (404, 405):
                detail = f"{detail}: there is no {request.method} {request.url.path}, see /docs"
            code = _HTTP_CODES.get(status, "http_error")
            return error_response(status, code, detail, error.headers)
        case _:
            return error_response(
                ClientDisconnected.status, ClientDisconnected.code, "the client hung up"
            )


def _describe(fault: Mapping[str, Any]) -> str:
    """Say of one fault: where, what is wrong, what was given."""
    place = fault["loc"]
    if place[:1] and place[0] in _PARTS:
        place = place[1:]
    where = _brief(".".join(map(str, place))) or "body"
    if fault["type"] == "extra_forbidden":
        return f"{where}: there is no such parameter or field"
    if fault["type"] == "missing":
        return f"{where}: is required"
    given = _brief(repr(fault.get("input")))
    return f"{where}: {fault['msg'][0].lower()}{fault['msg'][1:]}, got {given}"


def _brief(text: str) -> str:
    return text if len(text) <= 40 else text[:40] + "..."
