"""Decode a picture or a clip in a process of its own, which can be stopped and has bounded memory.

The process runs `app.pictures.child`.
"""

import asyncio
import json
import os
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from PIL import Image

from app.errors import (
    PictureError,
    PictureTooCostly,
    TooManyPixels,
    Unavailable,
    UnsupportedImage,
)
from app.pictures.clips import DecodedClip
from app.pictures.decode import DecodedPicture
from model.pictures.clips import Frame

__all__ = ["DecodeRequest", "decode_clip_in_process", "decode_in_process"]

_ERRORS = {e.code: e for e in (PictureError, PictureTooCostly, TooManyPixels, UnsupportedImage)}


@dataclass(frozen=True)
class DecodeRequest:
    """How to decode a picture, see `decode_picture`, and to resize it, see `resize`.

    With `frames`, so many frames of a clip, see `open_clip`.
    """

    max_pixels: int
    size: int
    how: str
    frames: int | None = None


async def decode_in_process(data: bytes, request: DecodeRequest) -> DecodedPicture:
    """Decode an untrusted file and resize it. If cancelled, the process is killed.

    Raises:
        PictureError: as `decode_picture` does, or because the process did not survive it.
        Unavailable: no process could be started.
    """
    head, (image,) = _read_reply(await _run(data, request), request)
    return DecodedPicture(image, **head)


async def decode_clip_in_process(data: bytes, request: DecodeRequest) -> DecodedClip:
    """Decode the frames of an untrusted clip and resize them. If cancelled, the process is killed.

    Raises:
        PictureError: as `decode_clip` does, or because the process did not survive it.
        Unavailable: no process could be started.
    """
    head, images = _read_reply(await _run(data, request), request)
    frames = head.pop("frames")
    return DecodedClip([Frame(*one) for one in zip(images, *frames, strict=True)], **head)


async def _run(data: bytes, request: DecodeRequest) -> bytes:
    """Return what the process writes, which ends early if it dies."""
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
    return reply


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


def _read_reply(reply: bytes, request: DecodeRequest) -> tuple[dict[str, Any], list[Image.Image]]:
    """Return what a process says of the file, and the pictures that follow."""
    head, line_break, pixels = reply.partition(b"\n")
    result = json.loads(head) if line_break else {}
    if "error" in result:
        raise _ERRORS[result["error"]](result["message"])
    each = 3 * request.size**2
    count = 1 if request.frames is None else len(result.get("frames", [[]])[0])
    if not count or len(pixels) != count * each:  # it died before its reply was complete
        what = "picture" if request.frames is None else "clip"
        raise PictureTooCostly(f"decoding the {what} takes too much time or memory")
    size = (request.size, request.size)
    starts = range(0, len(pixels), each)
    return result, [Image.frombytes("RGB", size, pixels[at : at + each]) for at in starts]


def _environment() -> dict[str, str]:
    """Return what makes the process find the same modules, and use one thread for arithmetic."""
    folders = [folder or str(os.getcwd()) for folder in sys.path]  # noqa: PTH109 - as Python reads it
    return os.environ | {"PYTHONPATH": os.pathsep.join(folders), "OPENBLAS_NUM_THREADS": "1"}
