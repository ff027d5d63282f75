"""Reading the picture file that a request uploads.

A picture may be the file `image` of a multipart form, the raw body, or base64 in JSON. What is
read here is only bytes; `app.pictures.decode` finds out whether they are a picture. The size of
bodies is limited by `app.http.middleware`.
"""

import base64
import binascii
import string
from typing import Annotated
from urllib.parse import unquote_to_bytes

from anyio import to_thread
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request

from app.errors import BodyTooLarge, EmptyBody, MalformedBody, UnsupportedContentType
from app.http.bodies import content_type, parse_json, read_body
from app.http.forms import read_form

__all__ = ["Base64Picture", "JsonUpload", "check_picture", "from_base64", "read_upload"]

_FORMS = (
    "send a multipart form with the file `image`, raw bytes as image/jpeg or another image/* "
    'type, or JSON {"image": "<base64 or data URI>"}'
)

_TO_STANDARD_ALPHABET = bytes.maketrans(b"-_", b"+/")
_WHITESPACE = string.whitespace.encode()

Base64Picture = Annotated[
    str,
    Field(
        description="The picture file in base64 (standard or URL-safe alphabet, with or without "
        "padding and line breaks), or as a data URI (`data:image/jpeg;base64,...`).",
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
        data = await to_thread.run_sync(_parse, await read_body(request))
    elif kind.startswith("image/") or kind == "application/octet-stream":
        data = await read_body(request)
    elif kind:
        raise UnsupportedContentType(f"{kind!r} is not supported: {_FORMS}")
    elif await read_body(request):
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


def from_base64(text: str) -> bytes:
    """Decode base64 or a data URI (RFC 2397).

    Both alphabets are read, and padding and white space are optional. What a data URI says of its
    type is ignored, as a file's name is: the bytes tell.

    Raises:
        MalformedBody: the text is neither.
    """
    if text[:5].lower() == "data:":
        head, comma, text = text[5:].partition(",")
        if not comma:
            raise MalformedBody("a data URI needs a comma before its data: data:image/jpeg;base64,")
        if not head.rstrip().lower().endswith(";base64"):
            return unquote_to_bytes(text)
        if "%" in text:
            text = unquote_to_bytes(text).decode("latin-1")
    try:
        data = text.encode("ascii").translate(_TO_STANDARD_ALPHABET, _WHITESPACE).rstrip(b"=")
        return base64.b64decode(data + b"=" * (-len(data) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedBody(
            "`image` is not base64, or was cut short: send the file in base64, or as a data URI "
            "like data:image/jpeg;base64,..."
        ) from error


def _parse(body: bytes) -> bytes:
    if not body:
        return b""
    hint = '; send {"image": "<base64 or data URI>"}'
    return from_base64(parse_json(body, JsonUpload, hint).image)
