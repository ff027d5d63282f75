"""`python -m app.pictures.child`: decode one picture or clip, for `app.pictures.process`.

Reads one line of JSON and a file from standard input. Writes a line of JSON and the picture, or the
frames, resized for the encoder, to standard output.
"""

import json
import os
import sys
from contextlib import suppress
from typing import Any

from app.errors import PictureError
from app.pictures.clips import decode_clip, open_clip_upload
from app.pictures.decode import decode_picture
from model.pictures.clips import Frame
from model.preprocessing import resize

__all__: list[str] = []

_MAX_ADDRESS_SPACE = 3_000_000_000  # bytes, most of which libraries only reserve
_MAX_CPU_SECONDS = 60  # for a process whose service has been killed
_NICENESS = 5  # what others wait for comes first


def _main() -> None:
    os.nice(_NICENESS)
    _limit_resources()
    request = json.loads(sys.stdin.buffer.readline())
    data = sys.stdin.buffer.read()
    decode = _decode_picture if request["frames"] is None else _decode_clip
    try:
        head, pixels = decode(data, request)
    except PictureError as error:
        head, pixels = {"error": error.code, "message": error.message}, b""
    sys.stdout.buffer.write(json.dumps(head).encode() + b"\n" + pixels)


def _decode_picture(data: bytes, request: dict[str, Any]) -> tuple[dict[str, object], bytes]:
    picture = decode_picture(data, request["max_pixels"])
    head = {"format": picture.format, "width": picture.width, "height": picture.height}
    return head, resize(picture.image, request["size"], request["how"]).tobytes()


def _decode_clip(data: bytes, request: dict[str, Any]) -> tuple[dict[str, object], bytes]:
    opened = open_clip_upload(data, request["frames"], request["max_pixels"])
    clip = decode_clip(opened, lambda image: resize(image, request["size"], request["how"]))
    head = {
        "format": clip.format,
        "width": clip.width,
        "height": clip.height,
        "length": clip.length,
        "duration": clip.duration,
        "frames": [[getattr(one, name) for one in clip.frames] for name in Frame._fields[1:]],
    }
    return head, b"".join(frame.image.tobytes() for frame in clip.frames)


def _limit_resources() -> None:
    with suppress(ImportError, ValueError, OSError):  # where a system has no such limits
        import resource  # noqa: PLC0415

        resource.setrlimit(resource.RLIMIT_CPU, (_MAX_CPU_SECONDS, _MAX_CPU_SECONDS))
        resource.setrlimit(resource.RLIMIT_AS, (_MAX_ADDRESS_SPACE, _MAX_ADDRESS_SPACE))


if __name__ == "__main__":
    _main()
