"""Errors as responses, in the shape of the API that was called."""

from collections.abc import Iterable, Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from structlog.contextvars import bind_contextvars

from app.errors import ClientDisconnected, InvalidParameter, ServiceError
from app.http.error_shapes import error_content, error_status
from app.http.root_path import route_path

__all__ = [
    "describe_validation_errors",
    "error_response",
    "install_error_handlers",
]

# FastAPI puts one of these before the names of parameters and fields.
_LOCATIONS = {"query", "path", "header", "body"}

_HTTP_CODES = {400: "malformed_body", 404: "not_found", 405: "method_not_allowed"}


def install_error_handlers(app: FastAPI) -> None:
    """Install handlers for every error that a route can raise."""
    for error_type in (ServiceError, HTTPException, RequestValidationError, ClientDisconnect):
        app.add_exception_handler(error_type, _handle_error)


def error_response(
    path: str, status: int, code: str, message: str, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """Build the response for an error of a request for `path`, see `app.http.error_shapes`.

    The request's line in the log gets the code.
    """
    bind_contextvars(error=code)
    status = error_status(path, status)
    content = error_content(path, status, code, message)
    return JSONResponse(content, status_code=status, headers=headers)


def describe_validation_errors(errors: Iterable[Mapping[str, Any]]) -> str:
    """Join pydantic's validation errors into one line."""
    return "; ".join(map(_describe, errors))


async def _handle_error(request: Request, error: Exception) -> JSONResponse:
    path = route_path(request.scope)
    match error:
        case ServiceError():
            return error_response(path, error.status, error.code, error.message, error.headers)
        case RequestValidationError():
            message = describe_validation_errors(error.errors())
            return error_response(path, InvalidParameter.status, InvalidParameter.code, message)
        case HTTPException(status_code=status, detail=detail):
            if status in (404, 405):
                detail = f"{detail}: there is no {request.method} {path}, see /docs"
            code = _HTTP_CODES.get(status, "http_error")
            return error_response(path, status, code, detail, error.headers)
        case _:
            return error_response(
                path, ClientDisconnected.status, ClientDisconnected.code, "the client disconnected"
            )


def _describe(error: Mapping[str, Any]) -> str:
    """Describe one validation error: where it is, what is wrong, and the value received."""
    location = error["loc"]
    if location[:1] and location[0] in _LOCATIONS:
        location = location[1:]
    where = _shorten(".".join(map(str, location))) or "body"
    if error["type"] == "extra_forbidden":
        return f"{where}: unknown parameter or field"
    if error["type"] == "missing":
        return f"{where}: is required"
    received = _shorten(repr(error.get("input")))
    return f"{where}: {error['msg'][0].lower()}{error['msg'][1:]}, got {received}"


def _shorten(text: str) -> str:
    return text if len(text) <= 40 else text[:40] + "..."
