"""The body of an error, in our own API and in those of other systems (`app.http.compat`).

An error may arise before any route is chosen, so the path decides.
"""

from collections.abc import Callable
from typing import Any

from asgi_correlation_id import correlation_id

__all__ = ["error_content", "error_status"]


def error_content(path: str, status: int, code: str, message: str) -> dict[str, Any]:
    """Return what describes an error to a client.

    Args:
        path: of the request.
        status: the HTTP status.
        code: for programs, see `app.errors`.
        message: for people.
    """
    for prefix, shape in _SHAPES.items():
        if path.startswith(prefix):
            return shape(status, code, message)
    return {"error": {"code": code, "message": message, "request_id": correlation_id.get()}}


def error_status(path: str, status: int) -> int:
    """Return the HTTP status by which an API's clients know an error."""
    for prefix, statuses in _STATUSES.items():
        if path.startswith(prefix):
            return statuses.get(status, status)
    return status


def _openai(status: int, code: str, message: str) -> dict[str, Any]:
    kinds = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error"}
    kind = kinds.get(status, "server_error" if status >= 500 else "invalid_request_error")
    code = {"unknown_model": "model_not_found"}.get(code, code)
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def _ollama(_status: int, _code: str, message: str) -> dict[str, Any]:
    return {"error": message}


def _max(_status: int, _code: str, message: str) -> dict[str, Any]:
    return {"status": "error", "message": message}


def _azure(status: int, code: str, message: str) -> dict[str, Any]:
    name = "".join(word.capitalize() for word in code.split("_"))
    inner = {"code": _AZURE_CODES.get(code, name), "message": message}
    kind = _AZURE_KINDS.get(status, "InternalServerError" if status >= 500 else "InvalidRequest")
    return {"error": {"code": kind, "message": message, "innererror": inner}}


_AZURE_KINDS = {
    401: "Unauthorized",
    404: "NotFound",
    429: "TooManyRequests",
    503: "ServiceUnavailable",
}

_AZURE_CODES = {
    "empty_body": "InvalidImageFormat",
    "malformed_image": "InvalidImageFormat",
    "unsupported_image": "InvalidImageFormat",
    "body_too_large": "InvalidImageSize",
    "too_many_pixels": "InvalidImageSize",
    "image_too_costly": "InvalidImageSize",
    "fetch_refused": "InvalidImageUrl",
    "fetch_failed": "InvalidImageUrl",
    "invalid_parameter": "BadArgument",
    "deadline_exceeded": "Timeout",
}

_SHAPES: dict[str, Callable[[int, str, str], dict[str, Any]]] = {
    "/v1/": _openai,
    "/api/": _ollama,
    "/model/": _max,
    "/computervision/": _azure,
    "/vision/": _azure,
}

# What these answer where ours has finer distinctions: their clients know no others.
_BAD_REQUESTS = {415: 400, 422: 400}
_STATUSES = {
    "/v1/": _BAD_REQUESTS,
    "/api/": _BAD_REQUESTS,
    "/computervision/": {422: 400},
    "/vision/": {422: 400},
}
