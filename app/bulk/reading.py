"""Read whole files, but never more bytes than a picture can need."""

from __future__ import annotations

import os
import stat
import sys
from typing import TYPE_CHECKING

from app.bulk.find import STANDARD_INPUT
from app.errors import PictureError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["max_file_bytes", "read_file"]

# Uncompressed, with four channels of 16 bits each.
_BYTES_PER_PIXEL = 8


def max_file_bytes(max_pixels: int) -> int:
    """Return how many bytes a file of this many pixels has at most."""
    return _BYTES_PER_PIXEL * max_pixels


def read_file(path: Path, max_bytes: int) -> bytes:
    """Return the bytes of a file, or those of standard input.

    Raises:
        OSError: it cannot be read.
        PictureError: it is empty, or has more than `max_bytes`.
    """
    if path == STANDARD_INPUT:
        if sys.stdin is None:
            raise OSError("standard input is closed")
        data = sys.stdin.buffer.read(max_bytes + 1)
    else:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            is_file = stat.S_ISREG(status.st_mode)
            if is_file and status.st_size > max_bytes:
                raise _too_large(max_bytes, status.st_size)
            data = file.read((status.st_size if is_file else max_bytes) + 1)
    if len(data) > max_bytes:
        raise _too_large(max_bytes)
    if not data:
        raise PictureError("the file is empty")
    return data


def _too_large(max_bytes: int, size: int | None = None) -> PictureError:
    has = "more" if size is None else f"{size:,} bytes"
    return PictureError(
        f"the file is too large: it has {has}, and at most {max_bytes:,} bytes are read "
        f"({_BYTES_PER_PIXEL} for each of UNROLLED_MAX_PIXELS)"
    )
