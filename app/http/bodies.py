"""A request's body to what a schema describes: JSON that may be anything at all.

Knows JSON and pydantic; does not know what is asked for.
"""

from typing import Any, TypeVar

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

__all__ = ["check_length", "content_type", "json_body", "parse_json", "read_json"]

Parsed = TypeVar("Parsed", bound=BaseModel)

# A parser takes 30 times an array's length in memory; what is sent here has few values, if long.
_MOST_COMMAS = 100_000


def content_type(request: Request) -> str:
    """Give a request's media type, without its parameters; empty if it says none."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def read_json(request: Request, schema: type[Parsed], max_text_length: int) -> Parsed:
    """Read a JSON body that holds a text and little else.

    Raises:
        UnsupportedContentType: it is not said to be JSON.
        EmptyBody: there is none.
        BodyTooLarge: it cannot but hold more than the text may have.
        MalformedBody: it is no JSON.
        InvalidParameter: it does not fit the schema.
    """
    kind = content_type(request)
    if kind and kind != "application/json":
        raise UnsupportedContentType(
            f"{kind!r} is not taken here: send JSON with Content-Type: application/json"
        )
    limit = 64 * 1024 + 12 * max_text_length  # one character may be \ud83d\ude00
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise BodyTooLarge(
                f"the body is too large: a text has at most {max_text_length:,} characters, and "
                f"its JSON at most {limit:,} bytes"
            )
    if not body:
        raise EmptyBody(f"the request brings nothing: send JSON like {_example(schema)}")
    if not kind:
        raise UnsupportedContentType(
            "the request has no Content-Type: send JSON with Content-Type: application/json"
        )
    return await to_thread.run_sync(parse_json, bytes(body), schema)


def parse_json(body: bytes, schema: type[Parsed], hint: str = "") -> Parsed:
    """Read JSON as a schema says; `hint` ends the message where it does not fit.

    Raises:
        BodyTooLarge, MalformedBody, InvalidParameter: as in `read_json`.
    """
    if body.count(b",") > _MOST_COMMAS:
        raise BodyTooLarge("the JSON has too many values: this takes a few fields")
    try:
        return schema.model_validate_json(body)
    except ValidationError as error:
        faults = error.errors()
        if faults[0]["type"] == "json_invalid":
            raise MalformedBody(f"the body is not JSON: {faults[0]['msg']}") from error
        raise InvalidParameter(describe_validation_errors(faults[:5]) + hint) from error


def check_length(name: str, text: str, longest: int) -> None:
    """Refuse a text that is too long.

    Raises:
        TextTooLong: it is.
    """
    if len(text) > longest:
        raise TextTooLong(f"{name}: {len(text):,} characters are too many: at most {longest:,}")


def json_body(schema: type[BaseModel], description: str) -> dict[str, Any]:
    """Document a body that `read_json` reads."""
    content = {"application/json": {"schema": schema.model_json_schema()}}
    body = {"required": True, "description": description, "content": content}
    return {"requestBody": body}


def _example(schema: type[BaseModel]) -> str:
    fields = schema.model_json_schema().get("required", [])
    return "{" + ", ".join(f'"{name}": ...' for name in fields or ["prompt"]) + "}"
