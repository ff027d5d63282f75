"""Reading and checking JSON bodies."""

import codecs
from typing import Any, Literal, TypeVar

from anyio import to_thread
from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from app.errors import (
    BodyTooLarge,
    EmptyBody,
    InvalidParameter,
    MalformedBody,
    TextTooLong,
    UnsupportedContentType,
)
from app.http.error_handlers import describe_validation_errors

__all__ = [
    "check_length",
    "content_type",
    "inline_schema",
    "json_body",
    "parse_json",
    "read_body",
    "read_json",
    "read_json_with_pictures",
]

Parsed = TypeVar("Parsed", bound=BaseModel)

# A parsed array takes 30 times its length in memory, and the requests here have few values.
_MAX_COMMAS = 100_000


def content_type(request: Request) -> str:
    """Return a request's media type without its parameters; empty if it has none."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def read_body(request: Request) -> bytes:
    """Read a whole body.

    A list of its chunks, as Starlette keeps it, would leave the heap in pieces: 24 large uploads at
    once would take twice their size from then on.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
    return bytes(body)


async def read_json(request: Request, schema: type[Parsed], max_text_length: int) -> Parsed:
    """Read a JSON body that consists mostly of one text.

    Raises:
        UnsupportedContentType: the content type is not JSON.
        EmptyBody: the body is empty.
        BodyTooLarge: the body is larger than a text of `max_text_length` can make it.
        MalformedBody: the body is not valid JSON.
        InvalidParameter: the body does not match the schema.
    """
    kind = content_type(request)
    if kind and kind != "application/json":
        raise UnsupportedContentType(
            f"{kind!r} is not supported: send JSON with Content-Type: application/json"
        )
    limit = 64 * 1024 + 12 * max_text_length  # a character may be escaped as \ud83d\ude00
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise BodyTooLarge(
                f"the body is too large: a text has at most {max_text_length:,} characters, and "
                f"its JSON at most {limit:,} bytes"
            )
    if not body:
        raise EmptyBody(f"the request has no body: send JSON like {_example(schema)}")
    if not kind:
        raise UnsupportedContentType(
            "the request has no Content-Type: send JSON with Content-Type: application/json"
        )
    return await to_thread.run_sync(parse_json, bytes(body), schema)


async def read_json_with_pictures(request: Request, schema: type[Parsed]) -> Parsed:
    """Read a JSON body that may hold pictures; `app.http.limits` bounds its size.

    Raises:
        UnsupportedContentType, EmptyBody, BodyTooLarge, MalformedBody, InvalidParameter: as in
            `read_json`.
    """
    kind = content_type(request)
    if kind != "application/json":
        raise UnsupportedContentType(
            f"{kind or 'a body of no type'!r} is not supported: send JSON with "
            "Content-Type: application/json"
        )
    body = await read_body(request)
    if not body:
        raise EmptyBody(f"the request has no body: send JSON like {_example(schema)}")
    return await to_thread.run_sync(parse_json, body, schema)


def parse_json(body: bytes, schema: type[Parsed], hint: str = "") -> Parsed:
    """Parse JSON and validate it; `hint` is appended to the message if it does not match.

    Raises:
        BodyTooLarge, MalformedBody, InvalidParameter: as in `read_json`.
    """
    if body.count(b",") > _MAX_COMMAS:
        raise BodyTooLarge("the JSON has too many values: send only the documented fields")
    try:
        return schema.model_validate_json(body.removeprefix(codecs.BOM_UTF8))
    except ValidationError as error:
        errors = error.errors()
        if errors[0]["type"] == "json_invalid":
            raise MalformedBody(f"the body is not JSON: {errors[0]['msg']}") from error
        raise InvalidParameter(describe_validation_errors(errors[:5]) + hint) from error


def check_length(name: str, text: str, max_length: int) -> None:
    """Check the length of a text.

    Raises:
        TextTooLong: it has more than `max_length` characters.
    """
    if len(text) > max_length:
        raise TextTooLong(f"{name}: {len(text):,} characters are too many: at most {max_length:,}")


def json_body(schema: type[BaseModel], description: str) -> dict[str, Any]:
    """Return the OpenAPI documentation of a body that `read_json` reads."""
    content = {"application/json": {"schema": inline_schema(schema)}}
    body = {"required": True, "description": description, "content": content}
    return {"requestBody": body}


def inline_schema(
    schema: type[BaseModel], mode: Literal["validation", "serialization"] = "validation"
) -> dict[str, Any]:
    """Return a schema without references, which would lead nowhere in the OpenAPI document."""
    document = schema.model_json_schema(mode=mode)
    definitions = document.pop("$defs", {})

    def inline(part: Any) -> Any:
        if isinstance(part, list):
            return [inline(item) for item in part]
        if not isinstance(part, dict):
            return part
        rest = {name: inline(value) for name, value in part.items() if name != "$ref"}
        if "$ref" not in part:
            return rest
        return inline(definitions[part["$ref"].rpartition("/")[2]]) | rest

    inlined: dict[str, Any] = inline(document)
    return inlined


def _example(schema: type[BaseModel]) -> str:
    fields = schema.model_json_schema().get("required", [])
    return "{" + ", ".join(f'"{name}": ...' for name in fields or ["prompt"]) + "}"
