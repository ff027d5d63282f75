"""Pictures and messages as clients send them."""

import base64

from PIL import Image

from tests.app.photos import encoded, photo

NAVY = encoded(Image.new("RGB", (30, 20), "navy"))
PHOTO = encoded(photo(), "JPEG", quality=95)


def data_uri(data: bytes, kind: str = "image/jpeg") -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def text(said: str) -> dict:
    return {"type": "text", "text": said}


def image(data: bytes = PHOTO, **fields: object) -> dict:
    return {"type": "image_url", "image_url": {"url": data_uri(data), **fields}}


def user(*content: dict) -> dict:
    return {"role": "user", "content": list(content)}


ASKED = [user(text("What is in this picture?"), image())]
