"""What routes of Ollama's API declare for the API page."""

from typing import Any

from app.http.compat.ollama.schemas import ErrorMessage
from app.http.deps import error_responses

__all__ = ["error_messages"]


def error_messages(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI documentation of a route's errors, in Ollama's shape."""
    documented = error_responses(*statuses)
    return {status: entry | {"model": ErrorMessage} for status, entry in documented.items()}
