"""Bodies of other systems' APIs: JSON with pictures in it, whatever else it holds."""

from typing import TypeVar

from anyio import to_thread
from pydantic import BaseModel
from starlette.requests import Request

from app.errors import EmptyBody
from app.http.bodies import parse_json, read_body

__all__ = ["read_any_json"]

Parsed = TypeVar("Parsed", bound=BaseModel)


async def read_any_json(request: Request, schema: type[Parsed]) -> Parsed:
    """Read a JSON body whatever its content type says, as `curl -d` sends a form's.

    Its size is limited by `app.http.limits`.

    Raises:
        EmptyBody: there is none.
        BodyTooLarge, MalformedBody, InvalidParameter: as in `app.http.bodies.parse_json`.
    """
    body = await read_body(request)
    if not body.strip():
        fields = ", ".join(f'"{name}": ...' for name in schema.model_json_schema()["required"])
        raise EmptyBody(f"the request has no body: send JSON like {{{fields}}}")
    return await to_thread.run_sync(parse_json, body, schema)
