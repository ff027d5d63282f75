"""Dependencies that routes declare by annotation, and the errors that they document."""

from typing import Annotated, Any

from asgi_correlation_id import correlation_id
from fastapi import Depends, Request

from app.errors import InvalidParameter
from app.http.schemas.errors import ErrorResponse
from app.serving.engine import Engine
from app.settings import Settings

__all__ = ["EngineDep", "NoQuery", "RequestId", "SettingsDep", "error_responses"]


async def _engine(request: Request) -> Engine:
    engine: Engine = request.app.state.engine
    return engine


async def _settings(engine: "EngineDep") -> Settings:
    return engine.settings


async def _request_id() -> str:
    return correlation_id.get() or ""


async def _refuse_query(request: Request) -> None:
    for name in request.query_params:
        hint = ": put it into the JSON body" if request.method == "POST" else ""
        raise InvalidParameter(f"{name[:40]}: unknown parameter, {request.url.path} has none{hint}")


EngineDep = Annotated[Engine, Depends(_engine)]
SettingsDep = Annotated[Settings, Depends(_settings)]
RequestId = Annotated[str, Depends(_request_id)]

# For routes and routers without query parameters.
NoQuery = Depends(_refuse_query)

_DESCRIPTIONS = {
    400: "The body, or the picture in it, is malformed.",
    403: "Pictures are not fetched by URL, or not from this host.",
    404: "There is no model of this name.",
    408: "The body did not arrive in time.",
    413: "Too many bytes, pixels or characters.",
    415: "The content type or the picture's format is not supported.",
    422: "A parameter or a field is out of range.",
    429: "Too many requests are in flight: see `Retry-After`.",
    503: "The models are still loading, or the deadline has passed: see `Retry-After`.",
}


def error_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI documentation of a route's errors."""
    return {
        status: {"model": ErrorResponse, "description": _DESCRIPTIONS[status]}
        for status in statuses
    }
