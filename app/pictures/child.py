"""`python -m app.pictures.child`: decode one picture, for `app.pictures.process`.

Reads one line of JSON and a picture file from standard input. Writes a line of JSON and the
picture, resized for the encoder, to standard output.
"""

import json
import os
import sys
from contextlib import suppress

from app.errors import PictureError
from app.pictures.decode import decode_picture
from model.preprocessing import resize

__all__: list[str] = []

_MAX_ADDRESS_SPACE = 3_000_000_000  # bytes, most of which libraries only reserve
_MAX_CPU_SECONDS = 60  # for a process whose service has been killed
_NICENESS = 5  # what others wait for comes first


def _main() -> None:
    os.nice(_NICENESS)
    _limit_resources()
    request = json.loads(sys.stdin.buffer.readline())
    try:
        picture = decode_picture(sys.stdin.buffer.read(), request["max_pixels"])
    except PictureError as error:
        _write({"error": error.code, "message": error.message})
        return
    head: dict[str, object] = {
        "format": picture.format,
        "width": picture.width,
        "height": picture.height,
    }
    pixels = resize(picture.image, request["size"], request["how"]).tobytes()
    _write(head, pixels)


def _write(head: dict[str, object], pixels: bytes = b"") -> None:
    sys.stdout.buffer.write(json.dumps(head).encode() + b"\n" + pixels)


def _limit_resources() -> None:
    with suppress(ImportError, ValueError, OSError):  # where a system has no such limits
        import resource  # noqa: PLC0415

        resource.setrlimit(resource.RLIMIT_CPU, (_MAX_CPU_SECONDS, _MAX_CPU_SECONDS))
        resource.setrlimit(resource.RLIMIT_AS, (_MAX_ADDRESS_SPACE, _MAX_ADDRESS_SPACE))


if __name__ == "__main__":
    _main()
