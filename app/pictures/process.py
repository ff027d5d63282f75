"""Decode a picture in a process of its own, which can be stopped and whose memory is bounded.

The process runs `app.pictures.child`.
"""

import asyncio
import json
import os
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass

from PIL import Image

from app.errors import (
    PictureError,
    PictureTooCostly,
    TooManyPixels,
    Unavailable,
    UnsupportedImage,
)
from app.pictures.decode import DecodedPicture

__all__ = ["DecodeRequest", "decode_in_process"]

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
        Unavailable: no process could be started.
    """
    process = await _start()
    try:
        reply, _ = await process.communicate(json.dumps(asdict(request)).encode() + b"\n" + data)
    except RuntimeError:  # as uvloop says that the process died before it could be written to
        reply = b""
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    return _read_reply(reply, request)


async def _start() -> asyncio.subprocess.Process:
    try:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *("-P", "-m", "app.pictures.child"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=_environment(),
        )
    except OSError as error:  # too many processes, or too little memory
        raise Unavailable("a large picture cannot be decoded now: try again later", 10) from error


def _read_reply(reply: bytes, request: DecodeRequest) -> DecodedPicture:
    head, line_break, pixels = reply.partition(b"\n")
    result = json.loads(head) if line_break else {}
    if "error" in result:
        raise _ERRORS[result["error"]](result["message"])
    if len(pixels) != 3 * request.size**2:  # it died before its reply was complete
        raise PictureTooCostly("decoding the picture takes too much time or memory")
    image = Image.frombytes("RGB", (request.size, request.size), pixels)
    return DecodedPicture(image, **result)


def _environment() -> dict[str, str]:
    """Return what makes the process find the same modules, and use one thread for arithmetic."""
    folders = [folder or str(os.getcwd()) for folder in sys.path]  # noqa: PTH109 - as Python reads it
    return os.environ | {"PYTHONPATH": os.pathsep.join(folders), "OPENBLAS_NUM_THREADS": "1"}
