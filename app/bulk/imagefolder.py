"""`metadata.jsonl`, by which Hugging Face's `datasets` reads captions with a folder of pictures.

    {"file_name": "walks/dog.jpg", "text": "a dog runs on the beach"}

It lies in the folder, or above it, and names each picture relative to where it lies. A picture
without a caption has no row.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from app.bulk.formats import METADATA, LineFormat
from app.bulk.names import shown_path
from app.bulk.results import FailedFile

if TYPE_CHECKING:
    from app.bulk.results import FileResult

__all__ = ["FILE_NAME", "file_name", "metadata_format"]

FILE_NAME = "file_name"


def metadata_format(folder: Path) -> LineFormat:
    """Return the format of the rows of a `metadata.jsonl` that lies in a folder."""

    def encode(result: FileResult) -> str:
        if isinstance(result, FailedFile) or not result.captions[0].text:
            return ""
        row = {FILE_NAME: file_name(result.path, folder), "text": result.captions[0].text}
        return json.dumps(row, ensure_ascii=False) + "\n"

    return LineFormat("", encode)


def file_name(picture: Path, folder: Path) -> str:
    """Return a picture's path relative to a folder, with slashes.

    Raises:
        ValueError: it is not below the folder, or its name is not UTF-8.
    """
    from app.bulk.find import STANDARD_INPUT  # noqa: PLC0415 - imports Pillow

    if picture == STANDARD_INPUT:
        raise ValueError(f"{METADATA} names files, and standard input has no name")
    relative = _below(os.path.abspath(picture), os.path.abspath(folder))  # noqa: PTH100
    if relative is None:  # by another way, over links
        parent = os.path.realpath(picture.parent)
        relative = _below(os.path.join(parent, picture.name), os.path.realpath(folder))  # noqa: PTH118
    if relative is None:
        raise ValueError(
            f"it is not below {shown_path(folder.absolute())}, where {METADATA} lies and looks "
            "for pictures"
        )
    try:
        relative.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"its name is not UTF-8, so {METADATA} cannot hold it") from error
    return relative


def _below(path: str, folder: str) -> str | None:
    try:
        return Path(path).relative_to(folder).as_posix()
    except ValueError:
        return None
