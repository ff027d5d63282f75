"""What a conversation says and shows, in the forms of chat completions and of responses."""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field

from app.errors import InvalidParameter

__all__ = ["ImageUrl", "Message", "Messages", "Part", "picture_urls", "texts"]


class ImageUrl(BaseModel):
    """A picture's URL in an object, as chat completions have it."""

    url: str = Field(description="A data URI, or base64 alone.")


def _url_of(value: Any) -> Any:
    return value["url"] if isinstance(value, dict) and "url" in value else value


def _as_parts(value: Any) -> Any:
    if value is None:
        return []
    parts = value if isinstance(value, list) else [value]
    return [{"type": "text", "text": part} if isinstance(part, str) else part for part in parts]


def _as_messages(value: Any) -> Any:
    return [{"content": value}] if isinstance(value, str) else value


class Part(BaseModel):
    """A part of a message: a text or a picture. Parts of other types are ignored."""

    type: str = Field(
        "text", description="`text` or `image_url`; `input_text` or `input_image` are the same."
    )
    text: str | None = None
    image_url: Annotated[
        str | None, BeforeValidator(_url_of, json_schema_input_type=ImageUrl | str | None)
    ] = Field(None, description="The picture, as a data URI (`data:image/jpeg;base64,...`).")


class Message(BaseModel):
    """A message: a text, or parts."""

    role: str = "user"
    content: Annotated[
        list[Part], BeforeValidator(_as_parts, json_schema_input_type=str | list[Part] | None)
    ] = []


# A text stands for a single message.
Messages = Annotated[
    list[Message],
    Field(min_length=1),
    BeforeValidator(_as_messages, json_schema_input_type=str | list[Message]),
]


def texts(messages: Sequence[Message], *, but_of: str = "") -> list[str]:
    """Return the text of each message that has one, but not of those of one role."""
    said = (message for message in messages if message.role != but_of)
    joined = ("\n".join(part.text for part in one.content if part.text) for one in said)
    return [text for text in joined if text]


def picture_urls(messages: Sequence[Message]) -> list[str]:
    """Return the pictures that a conversation asks about, each as a URL or in base64.

    They are those of the last turn that shows any. A turn ends with the assistant's message, so
    that pictures which have been answered are not captioned again with every later one.

    Raises:
        InvalidParameter: a part that should show a picture has none.
    """
    turn: list[str] = []
    answered = False
    for message in messages:
        shown = [url for part in message.content if (url := _picture(part)) is not None]
        if shown and answered:
            turn, answered = [], False
        turn += shown
        answered = answered or message.role == "assistant"
    return turn


def _picture(part: Part) -> str | None:
    if part.image_url is None and part.type in ("image_url", "input_image"):
        raise InvalidParameter(
            f"a part of type {part.type} needs `image_url` with the picture as a data URI; "
            "uploaded files are not kept here"
        )
    return part.image_url
