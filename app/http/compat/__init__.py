"""Other systems' APIs over the same engine, one module or package for each."""

from collections.abc import Iterable, Sequence

from fastapi import APIRouter

from app.http.compat import azure, ollama, openai
from app.http.compat import max as max_  # not the built-in function

__all__ = ["compat_routers"]

_ROUTERS: dict[str, Sequence[APIRouter]] = {
    "openai": openai.ROUTERS,
    "ollama": ollama.ROUTERS,
    "max": [max_.router],
    "azure": [azure.router],
}


def compat_routers(apis: Iterable[str]) -> list[APIRouter]:
    """Return the routers of the APIs that are named, see `Settings.apis`."""
    return [router for api in apis for router in _ROUTERS[api]]
