"""Reading the picture file that a request uploads.

A picture may be the file `image` of a multipart form, the raw body, or base64 in JSON. What is
read here is only bytes; `app.pictures.decode` finds out whether they are a picture. The size of
bodies is limited by `app.http.middleware`.
"""

import base64
import binascii
import string
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import unquote_to_bytes

from anyio import to_thread
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request

from app.errors import BodyTooLarge, EmptyBody, MalformedBody, UnsupportedContentType
from app.http.bodies import content_type, parse_json, read_body
from app.http.forms import read_form_pictures

__all__ = [
    "MAX_PICTURES",
    "Base64Picture",
    "JsonUpload",
    "JsonUploads",
    "Uploads",
    "check_picture",
    "from_base64",
    "read_uploads",
]

MAX_PICTURES = 16  # of one request

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


class JsonUploads(BaseModel):
    """Several pictures in JSON."""

    model_config = ConfigDict(extra="forbid", strict=True)

    images: Annotated[list[Base64Picture], Field(min_length=1, max_length=MAX_PICTURES)]


@dataclass(frozen=True)
class Uploads:
    """The files of one request, not yet checked.

    `several` says that there may be more than one: then a file that cannot be decoded from base64
    is the error, and the others are as they should be.
    """

    pictures: list[bytes | MalformedBody]
    several: bool = False


async def read_uploads(request: Request) -> Uploads:
    """Read the picture files that a request uploads: one, or several.

    Raises:
        UnsupportedContentType: the request is in none of the three forms.
        EmptyBody: there is no picture.
        MalformedBody: the body is not what its content type says, or lacks the field `image`.
        InvalidParameter: the JSON has unknown fields or wrong types, or too many pictures.
    """
    kind = content_type(request)
    if kind == "multipart/form-data":
        pictures, _ = await read_form_pictures(request, most=MAX_PICTURES)
        return Uploads([*pictures], len(pictures) > 1)
    if kind == "application/json":
        return await to_thread.run_sync(_parse, await read_body(request))
    if kind.startswith(("image/", "video/")) or kind == "application/octet-stream":
        data = await read_body(request)
    elif kind:
        raise UnsupportedContentType(f"{kind!r} is not supported: {_FORMS}")
    elif await read_body(request):
        raise UnsupportedContentType(f"the request has no Content-Type: {_FORMS}")
    else:
        data = b""
    return Uploads([data])


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


def _attempt(text: str) -> bytes | MalformedBody:
    try:
        return from_base64(text)
    except MalformedBody as error:
        return error


def _parse(body: bytes) -> Uploads:
    if not body:
        return Uploads([b""])
    if b'"images"' in body:  # base64 has no quotation marks
        images = parse_json(body, JsonUploads, '; send {"images": ["<base64 or data URI>", ...]}')
        return Uploads([_attempt(image) for image in images.images], several=True)
    hint = '; send {"image": "<base64 or data URI>"}'
    return Uploads([from_base64(parse_json(body, JsonUpload, hint).image)])
