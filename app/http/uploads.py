"""Reading the picture file that a request uploads.

A picture may be the file `image` of a multipart form, the raw body, or base64 in JSON. What is
read here is only bytes; `app.pictures.decode` finds out whether they are a picture. The size of
bodies is limited by `app.http.middleware`.
"""

import base64
import binascii
import re
from collections.abc import Collection
from typing import Annotated

from anyio import to_thread
from pydantic import BaseModel, ConfigDict, Field
from starlette.datastructures import UploadFile
from starlette.requests import Request

from app.errors import BodyTooLarge, EmptyBody, MalformedBody, UnsupportedContentType
from app.http.bodies import content_type, parse_json

__all__ = [
    "Base64Picture",
    "JsonUpload",
    "check_picture",
    "from_base64",
    "read_form",
    "read_upload",
]

_FORMS = (
    "send a multipart form with the file `image`, raw bytes as image/jpeg or another image/* "
    'type, or JSON {"image": "<base64 or data URI>"}'
)

_DATA_URI = re.compile(r"data:(image/[\w.+-]+|application/octet-stream);base64,", re.ASCII)

Base64Picture = Annotated[
    str,
    Field(
        description="The picture file in base64, or as a data URI "
        "(`data:image/jpeg;base64,...`); no line breaks.",
        examples=["data:image/gif;base64,R0lGODlhAQABAIAAAP///wAAACwAAAAAAQABAAACAkQBADs="],
    ),
]


class JsonUpload(BaseModel):
    """A picture in JSON."""

    model_config = ConfigDict(extra="forbid", strict=True)

    image: Base64Picture


async def read_upload(request: Request, max_bytes: int) -> bytes:
    """Read the picture file that a request uploads.

    Raises:
        UnsupportedContentType: the request is in none of the three forms.
        EmptyBody: there is no picture.
        MalformedBody: the body is not what its content type says, or lacks the field `image`.
        InvalidParameter: the JSON has unknown fields or wrong types.
        BodyTooLarge: the file has more than `max_bytes`.
    """
    kind = content_type(request)
    if kind == "multipart/form-data":
        data, _ = await read_form(request)
    elif kind == "application/json":
        data = await to_thread.run_sync(_parse, await request.body())
    elif kind.startswith("image/") or kind == "application/octet-stream":
        data = await request.body()
    elif kind:
        raise UnsupportedContentType(f"{kind!r} is not supported: {_FORMS}")
    elif await request.body():
        raise UnsupportedContentType(f"the request has no Content-Type: {_FORMS}")
    else:
        data = b""
    return check_picture(data, max_bytes)


def check_picture(data: bytes, max_bytes: int) -> bytes:
    """Return a picture's bytes after checking their number.

    Raises:
        EmptyBody: there are none.
        BodyTooLarge: there are more than `max_bytes`.
    """
    if not data:
        raise EmptyBody(f"the request has no picture: {_FORMS}")
    if len(data) > max_bytes:
        raise BodyTooLarge(
            f"a picture of {len(data)} bytes is too large: at most {max_bytes / 1e6:g} MB"
        )
    return data


async def read_form(request: Request, texts: Collection[str] = ()) -> tuple[bytes, dict[str, str]]:
    """Read a form's file `image`, and its fields that are named in `texts`.

    Raises:
        MalformedBody: the file is missing, or the form has other fields.
    """
    async with request.form(max_files=1, max_fields=8) as form:
        unknown = sorted({name for name, _ in form.multi_items()} - {"image", *texts})
        if unknown:
            allowed = ", ".join(f"`{name}`" for name in texts)
            raise MalformedBody(
                f"the form has an unknown field {unknown[0]!r}: send only the file `image`"
                + (f" and {allowed}" if texts else ", and put parameters into the query")
            )
        image = form.get("image")
        if not isinstance(image, UploadFile):
            raise MalformedBody(
                "the form needs a file `image` with a file name: curl -F image=@photo.jpg"
            )
        fields = {name: form.getlist(name) for name in texts if name in form}
        for name, values in fields.items():
            if len(values) > 1 or not isinstance(values[0], str):
                raise MalformedBody(f"the form's field `{name}` must be a single text, not a file")
        return await image.read(), {name: str(values[0]) for name, values in fields.items()}


def from_base64(text: str) -> bytes:
    """Decode base64 or a data URI.

    Raises:
        MalformedBody: the text is neither.
    """
    if text.startswith("data:"):
        head = _DATA_URI.match(text)
        if head is None:
            raise MalformedBody("a data URI must start like data:image/jpeg;base64,")
        text = text[head.end() :]
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedBody(
            f"`image` is not base64 ({error}): use the standard alphabet, padding, no line breaks"
        ) from error


def _parse(body: bytes) -> bytes:
    if not body:
        return b""
    hint = '; send {"image": "<base64 or data URI>"}'
    return from_base64(parse_json(body, JsonUpload, hint).image)
