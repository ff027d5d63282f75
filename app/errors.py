"""The errors that a client can be told about.

Each class carries its HTTP status and a code for programs; `app.http.error_handlers` turns them
into responses.

    ServiceError                  500 internal_error
    ├── MalformedBody             400 malformed_body
    │   └── EmptyBody             400 empty_body
    ├── Unauthorized              401 unauthorized, with WWW-Authenticate
    ├── BodyTimeout               408 body_timeout
    ├── BodyTooLarge              413 body_too_large
    ├── TextTooLong               413 text_too_long
    ├── UnsupportedContentType    415 unsupported_content_type
    ├── HeadersTooLarge           431 headers_too_large
    ├── InvalidParameter          422 invalid_parameter
    ├── UnknownModel              404 unknown_model
    ├── PictureError              400 malformed_image
    │   ├── TooManyPixels         413 too_many_pixels
    │   ├── PictureTooCostly      413 image_too_costly
    │   └── UnsupportedImage      415 unsupported_image
    ├── FetchFailed               400 fetch_failed
    ├── FetchRefused              403 fetch_refused
    ├── ClientDisconnected        499 client_disconnected (only ever seen in the log)
    └── Unavailable               503 unavailable, with Retry-After
        ├── NotReady              503 not_ready
        ├── DeadlineExceeded      503 deadline_exceeded
        ├── TooManyUploads        503 too_many_uploads
        ├── ReplicaLost           503 replica_lost (only on a cluster)
        └── Overloaded            429 overloaded
"""

import math
from collections.abc import Mapping
from typing import ClassVar

__all__ = [
    "BodyTimeout",
    "BodyTooLarge",
    "ClientDisconnected",
    "DeadlineExceeded",
    "EmptyBody",
    "FetchFailed",
    "FetchRefused",
    "HeadersTooLarge",
    "InvalidParameter",
    "MalformedBody",
    "NotReady",
    "Overloaded",
    "PictureError",
    "PictureTooCostly",
    "ReplicaLost",
    "ServiceError",
    "TextTooLong",
    "TooManyPixels",
    "TooManyUploads",
    "Unauthorized",
    "Unavailable",
    "UnknownModel",
    "UnsupportedContentType",
    "UnsupportedImage",
]


class ServiceError(Exception):
    """An error that is reported to the client; the message says how to put it right."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"

    def __init__(self, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.headers = dict(headers or {})


class MalformedBody(ServiceError):
    """The body is not what its content type says."""

    status, code = 400, "malformed_body"


class EmptyBody(MalformedBody):
    """The body is empty, or has no picture where one is needed."""

    code = "empty_body"


class Unauthorized(ServiceError):
    """The request has no valid API key."""

    status, code = 401, "unauthorized"


class BodyTimeout(ServiceError):
    """The body arrived too slowly, or not at all."""

    status, code = 408, "body_timeout"


class BodyTooLarge(ServiceError):
    """The body, or the picture file in it, has too many bytes."""

    status, code = 413, "body_too_large"


class TextTooLong(ServiceError):
    """A prompt or a text has too many characters."""

    status, code = 413, "text_too_long"


class UnsupportedContentType(ServiceError):
    """The route does not accept this content type."""

    status, code = 415, "unsupported_content_type"


class HeadersTooLarge(ServiceError):
    """The request's headers have too many bytes."""

    status, code = 431, "headers_too_large"


class InvalidParameter(ServiceError):
    """A value is out of range, of the wrong type, or unknown."""

    status, code = 422, "invalid_parameter"


class UnknownModel(ServiceError):
    """No model has this name."""

    status, code = 404, "unknown_model"


class PictureError(ServiceError):
    """A picture file that is damaged or cut short."""

    status, code = 400, "malformed_image"


class TooManyPixels(PictureError):
    """A picture whose header declares more pixels, or longer sides, than are accepted."""

    status, code = 413, "too_many_pixels"


class PictureTooCostly(PictureError):
    """A picture that would take too much time or memory to decode, however small its file."""

    status, code = 413, "image_too_costly"


class UnsupportedImage(PictureError):
    """A file that is not a picture, or not in a supported format."""

    status, code = 415, "unsupported_image"


class FetchFailed(ServiceError):
    """A picture's URL did not lead to a file."""

    status, code = 400, "fetch_failed"


class FetchRefused(ServiceError):
    """Fetching pictures by URL is off, or not allowed from this host."""

    status, code = 403, "fetch_refused"


class ClientDisconnected(ServiceError):
    """The client disconnected before the response was ready."""

    status, code = 499, "client_disconnected"


class Unavailable(ServiceError):
    """The request cannot be served now, but may be in `retry_after` seconds."""

    status, code = 503, "unavailable"

    def __init__(self, message: str, retry_after: float = 1.0) -> None:
        super().__init__(message, {"Retry-After": str(max(1, math.ceil(retry_after)))})


class NotReady(Unavailable):
    """The models are still loading."""

    code = "not_ready"


class DeadlineExceeded(Unavailable):
    """The result was not ready by the deadline."""

    code = "deadline_exceeded"


class TooManyUploads(Unavailable):
    """The bodies of all requests together take as much memory as they may."""

    code = "too_many_uploads"


class ReplicaLost(Unavailable):
    """The process or machine that worked on the request is gone."""

    code = "replica_lost"


class Overloaded(Unavailable):
    """As many requests are in flight as the service accepts."""

    status, code = 429, "overloaded"
