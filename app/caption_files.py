"""Files, folders and globs to captions, in order and in batches; a bad file stops nothing.

Knows paths and pictures; does not know how results are shown.
"""

from __future__ import annotations

import glob
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.errors import PictureError
from app.images import SUFFIXES, Picture, read_picture

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from model.captioner import Caption, Captioner
    from model.config import DecodingConfig

__all__ = ["Captioned", "Failed", "caption_files", "find_pictures"]


@dataclass(frozen=True)
class Captioned:
    """A picture file and its captions, best first."""

    path: Path
    captions: list[Caption]


@dataclass(frozen=True)
class Failed:
    """A path that gave no captions, and why."""

    path: Path
    reason: str


def find_pictures(paths: Iterable[str]) -> list[Path | Failed]:
    """List the files that paths mean: files as they are, folders and globs in sorted order.

    A folder gives the files in it, at any depth, that are named like pictures; a path that
    means nothing is in the list as `Failed`.
    """
    found: list[Path | Failed] = []
    for name in paths:
        path = Path(name)
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.is_file() and _is_picture(p))
            found += inside or [Failed(path, "there are no pictures in this folder")]
        elif path.exists() or not glob.has_magic(name):
            found.append(path)
        else:
            matches = [Path(match) for match in sorted(glob.glob(name, recursive=True))]  # noqa: PTH207 - Path.glob takes no absolute pattern
            files = [match for match in matches if match.is_file()]
            found += files or [Failed(path, "this pattern matches no file")]
    return found


def caption_files(
    captioner: Captioner,
    paths: Iterable[Path | Failed],
    decoding: DecodingConfig,
    *,
    batch_size: int,
    max_pixels: int,
    grounding: bool = False,
) -> Iterator[Captioned | Failed]:
    """Caption files, `batch_size` at a time, and yield one result for each, in order.

    Raises:
        ValueError: grounding is asked for and the captioner has no mean picture.
    """
    options = asdict(decoding) | {"grounding": grounding}
    batch: list[tuple[Path, Picture] | Failed] = []
    pictures = 0
    for path in paths:
        entry = path if isinstance(path, Failed) else _read(path, max_pixels)
        batch.append(entry)
        pictures += not isinstance(entry, Failed)
        # Failures are not held back once nothing before them waits.
        if pictures in (0, batch_size):
            yield from _caption_batch(captioner, batch, options)
            batch, pictures = [], 0
    yield from _caption_batch(captioner, batch, options)


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES


def _read(path: Path, max_pixels: int) -> tuple[Path, Picture] | Failed:
    try:
        return path, read_picture(path, max_pixels)
    except OSError as error:
        return Failed(path, error.strerror or str(error))
    except PictureError as error:
        return Failed(path, error.message)


def _caption_batch(
    captioner: Captioner, batch: list[tuple[Path, Picture] | Failed], options: dict[str, Any]
) -> Iterator[Captioned | Failed]:
    pictures = [entry[1].image for entry in batch if not isinstance(entry, Failed)]
    captions = iter(captioner.caption(pictures, **options) if pictures else ())
    for entry in batch:
        yield entry if isinstance(entry, Failed) else Captioned(entry[0], next(captions))
