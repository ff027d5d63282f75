"""What routes ask for by annotation.

Knows where `create_app` put things; makes nothing itself.
"""

from typing import Annotated, Any

from asgi_correlation_id import correlation_id
from fastapi import Depends, Request

from app.http.schemas.errors import ErrorResponse
from app.serving.engine import Engine
from app.settings import Settings

__all__ = ["EngineDep", "RequestId", "SettingsDep", "error_responses"]


async def _engine(request: Request) -> Engine:
    engine: Engine = request.app.state.engine
    return engine


async def _settings(engine: "EngineDep") -> Settings:
    return engine.settings


async def _request_id() -> str:
    return correlation_id.get() or ""


EngineDep = Annotated[Engine, Depends(_engine)]
SettingsDep = Annotated[Settings, Depends(_settings)]
RequestId = Annotated[str, Depends(_request_id)]

_MEANINGS = {
    400: "The body, or the picture in it, is malformed.",
    404: "No such model.",
    413: "Too many bytes, pixels or characters.",
    415: "Not what the route takes, or not sent as such.",
    422: "A parameter or a field is out of range.",
    429: "As many requests are in hand as are taken: see `Retry-After`.",
    503: "Not ready yet, or not done in time: see `Retry-After`.",
}


def error_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Document a route's errors."""
    return {
        status: {"model": ErrorResponse, "description": _MEANINGS[status]} for status in statuses
    }
