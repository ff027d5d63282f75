"""A request's body to the bytes of one picture file.

A picture comes in three forms: a multipart form's file `image`, raw bytes, or base64 in JSON.
Knows HTTP bodies; does not know whether the bytes are a picture. `app.middleware` has limited
what can arrive.
"""

import base64
import binascii
import re
from typing import Annotated

from anyio import to_thread
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.datastructures import UploadFile
from starlette.requests import Request

from app.errors import (
    BodyTooLarge,
    EmptyBody,
    InvalidParameter,
    MalformedBody,
    UnsupportedContentType,
    describe_faults,
)

__all__ = ["JsonUpload", "read_upload"]

_FORMS = (
    "send a multipart form with the file `image`, raw bytes as image/jpeg or another image/* "
    'type, or JSON {"image": "<base64 or data URI>"}'
)

_DATA_URI = re.compile(r"data:(image/[\w.+-]+|application/octet-stream);base64,", re.ASCII)


class JsonUpload(BaseModel):
    """A picture in JSON."""

    model_config = ConfigDict(extra="forbid", strict=True)

    image: Annotated[
        str,
        Field(
            description="The picture file in base64, or as a data URI "
            "(`data:image/jpeg;base64,...`); no line breaks.",
            examples=["data:image/gif;base64,R0lGODlhAQABAIAAAP///wAAACwAAAAAAQABAAACAkQBADs="],
        ),
    ]


async def read_upload(request: Request, max_bytes: int) -> bytes:
    """Read the one picture file that a request brings.

    Raises:
        UnsupportedContentType: the request has none of the three forms.
        MalformedBody: the body is not what its content type says, or has no picture.
        InvalidParameter: the JSON has other fields, or other types.
        BodyTooLarge: the file has more than `max_bytes`.
    """
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type == "multipart/form-data":
        data = await _from_form(request)
    elif content_type == "application/json":
        data = await to_thread.run_sync(_from_json, await request.body())
    elif content_type.startswith("image/") or content_type == "application/octet-stream":
        data = await request.body()
    elif content_type:
        raise UnsupportedContentType(f"{content_type!r} is not taken here: {_FORMS}")
    elif await request.body():
        raise UnsupportedContentType(f"the request has no Content-Type: {_FORMS}")
    else:
        data = b""
    if not data:
        raise EmptyBody(f"the request brings no picture: {_FORMS}")
    if len(data) > max_bytes:
        raise BodyTooLarge(
            f"a picture of {len(data)} bytes is too large: at most {max_bytes / 1e6:g} MB"
        )
    return data


async def _from_form(request: Request) -> bytes:
    async with request.form(max_files=1, max_fields=8) as form:
        unknown = sorted({name for name, _ in form.multi_items() if name != "image"})
        if unknown:
            raise MalformedBody(
                f"the form has a field {unknown[0]!r}: it takes the one file `image`, "
                "and parameters go into the query"
            )
        image = form.get("image")
        if not isinstance(image, UploadFile):
            raise MalformedBody(
                "the form needs one file called `image`, with a file name: curl -F image=@photo.jpg"
            )
        return await image.read()


def _from_json(body: bytes) -> bytes:
    if not body:
        return b""
    try:
        text = JsonUpload.model_validate_json(body).image
    except ValidationError as error:
        faults = error.errors()
        if faults[0]["type"] == "json_invalid":
            raise MalformedBody(f"the body is not JSON: {faults[0]['msg']}") from error
        message = f'{describe_faults(faults)}; send {{"image": "<base64 or data URI>"}}'
        raise InvalidParameter(message) from error
    if text.startswith("data:"):
        head = _DATA_URI.match(text)
        if head is None:
            raise MalformedBody("a data URI must begin like data:image/jpeg;base64,")
        text = text[head.end() :]
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedBody(
            f"`image` is not base64 ({error}): use the standard alphabet, padding, no line breaks"
        ) from error
