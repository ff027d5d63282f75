"""Decode a picture in a process of its own, which can be stopped and whose memory is bounded.

`python -m app.pictures.process` reads one line of JSON and a picture file from standard input. It
writes a line of JSON and the picture, resized for the encoder, to standard output.
"""

import asyncio
import json
import os
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass

from PIL import Image

from app.errors import PictureError, PictureTooCostly, TooManyPixels, UnsupportedImage
from app.pictures.decode import DecodedPicture, decode_picture
from model.preprocessing import resize

__all__ = ["DecodeRequest", "decode_in_process"]

_MAX_ADDRESS_SPACE = 3_000_000_000  # bytes, most of which libraries only reserve
_MAX_CPU_SECONDS = 60  # for a process whose service has been killed
_NICENESS = 5  # what others wait for comes first

_ERRORS = {e.code: e for e in (PictureError, PictureTooCostly, TooManyPixels, UnsupportedImage)}


@dataclass(frozen=True)
class DecodeRequest:
    """How to decode a picture, see `decode_picture`, and to resize it, see `resize`."""

    max_pixels: int
    size: int
    how: str


async def decode_in_process(data: bytes, request: DecodeRequest) -> DecodedPicture:
    """Decode an untrusted file and resize it. If cancelled, the process is killed.

    Raises:
        PictureError: as `decode_picture` does, or because the process did not survive it.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-P", "-m", __name__),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=_environment(),
    )
    try:
        reply, _ = await process.communicate(_line(asdict(request)) + data)
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    return _read_reply(reply, request)


def _read_reply(reply: bytes, request: DecodeRequest) -> DecodedPicture:
    head, _, pixels = reply.partition(b"\n")
    if not head:
        raise PictureTooCostly("decoding the picture takes too much time or memory")
    result = json.loads(head)
    if "error" in result:
        raise _ERRORS[result["error"]](result["message"])
    image = Image.frombytes("RGB", (request.size, request.size), pixels)
    return DecodedPicture(image, **result)


def _line(values: dict[str, object]) -> bytes:
    return json.dumps(values).encode() + b"\n"


def _environment() -> dict[str, str]:
    """Return what makes the process find the same modules, and use one thread for arithmetic."""
    folders = [folder or str(os.getcwd()) for folder in sys.path]  # noqa: PTH109 - as Python reads it
    return os.environ | {"PYTHONPATH": os.pathsep.join(folders), "OPENBLAS_NUM_THREADS": "1"}


def _main() -> None:
    os.nice(_NICENESS)
    _limit_resources()
    request = DecodeRequest(**json.loads(sys.stdin.buffer.readline()))
    try:
        picture = decode_picture(sys.stdin.buffer.read(), request.max_pixels)
    except PictureError as error:
        sys.stdout.buffer.write(_line({"error": error.code, "message": error.message}))
        return
    head = {"format": picture.format, "width": picture.width, "height": picture.height}
    pixels = resize(picture.image, request.size, request.how).tobytes()
    sys.stdout.buffer.write(_line(head) + pixels)


def _limit_resources() -> None:
    with suppress(ImportError, ValueError, OSError):  # where a system has no such limits
        import resource  # noqa: PLC0415

        resource.setrlimit(resource.RLIMIT_CPU, (_MAX_CPU_SECONDS, _MAX_CPU_SECONDS))
        resource.setrlimit(resource.RLIMIT_AS, (_MAX_ADDRESS_SPACE, _MAX_ADDRESS_SPACE))


if __name__ == "__main__":
    _main()
