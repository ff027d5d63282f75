import pytest

from app.errors import InvalidParameter
from app.http.compat.openai.messages import Message, picture_urls, texts


def conversation(*messages: dict) -> list[Message]:
    return [Message.model_validate(message) for message in messages]


def shows(*urls: str, role: str = "user") -> dict:
    return {"role": role, "content": [{"type": "image_url", "image_url": url} for url in urls]}


SAYS = {"role": "user", "content": "Describe it."}
ANSWERS = {"role": "assistant", "content": "A cat."}


@pytest.mark.parametrize(
    ("messages", "urls"),
    [
        ([SAYS], []),
        ([shows("a", "b"), shows("c"), SAYS], ["a", "b", "c"]),
        ([shows("a"), ANSWERS, SAYS], ["a"]),
        ([shows("a"), ANSWERS, SAYS, shows("b")], ["b"]),
        ([shows("a"), ANSWERS, shows("b"), ANSWERS, SAYS, ANSWERS, SAYS], ["b"]),
        ([shows("a", role="system"), SAYS], ["a"]),
        ([shows("a"), shows("b", role="assistant")], ["a", "b"]),
    ],
)
def test_the_pictures_of_the_last_turn_that_shows_any(
    messages: list[dict], urls: list[str]
) -> None:
    assert picture_urls(conversation(*messages)) == urls


def test_a_part_without_its_picture_is_an_error() -> None:
    with pytest.raises(InvalidParameter, match="input_image needs `image_url`"):
        picture_urls(conversation({"content": [{"type": "input_image"}]}))


def test_texts() -> None:
    parts = {"content": [{"type": "text", "text": "one"}, {"type": "input_text", "text": "two"}]}
    messages = conversation({"role": "system", "content": "zero"}, parts, shows("a"), ANSWERS)
    assert texts(messages) == ["zero", "one\ntwo", "A cat."]
    assert texts(messages, but_of="assistant") == ["zero", "one\ntwo"]
