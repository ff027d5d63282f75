"""Bodies of other systems' APIs: a picture file, or JSON whatever else it holds."""

from typing import TypeVar

from anyio import to_thread
from pydantic import BaseModel
from starlette.requests import Request

from app.errors import EmptyBody, UnsupportedContentType
from app.http.bodies import content_type, parse_json, read_body
from app.http.forms import read_form
from app.http.uploads import check_picture

__all__ = ["read_any_json", "read_file"]

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


async def read_file(request: Request, max_bytes: int) -> bytes:
    """Read a picture file: the file `image` of a form, or the whole body.

    Raises:
        UnsupportedContentType: it is in neither form.
        MalformedBody: the form is damaged, or lacks the file.
        EmptyBody, BodyTooLarge: as in `app.http.uploads.check_picture`.
    """
    kind = content_type(request)
    if kind == "multipart/form-data":
        data, _ = await read_form(request)
    elif kind.startswith("image/") or kind == "application/octet-stream":
        data = await read_body(request)
    else:
        raise UnsupportedContentType(
            f"the content type {kind!r} is not supported: send the picture file as "
            "application/octet-stream or image/*, or as the file `image` of a multipart form"
        )
    return check_picture(data, max_bytes)
