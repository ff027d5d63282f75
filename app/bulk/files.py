"""Caption files, folders and globs in order and in batches; a bad file does not stop the rest.

While the model works on one batch, threads read, decode and prepare the pictures of the next.
"""

from __future__ import annotations

import glob
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from app.bulk.prefetch import prefetch
from app.cores import usable_cores
from app.errors import PictureError
from app.pictures.decode import SUFFIXES, read_picture

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

    from numpy.typing import NDArray

    from model.captioning.caption import Caption
    from model.captioning.captioner import Captioner
    from model.config import DecodingConfig

__all__ = ["BATCHES_AHEAD", "CaptionedFile", "FailedFile", "caption_files", "find_pictures"]

# One is prepared while the model works; the other makes up for a few large photographs in a row.
# A prepared picture is small (0.8 MB at 260 x 260), however large the photograph was.
BATCHES_AHEAD = 2

# Each thread holds one whole photograph in memory: 50 million pixels take 0.4 GB.
_MAX_THREADS = 8


@dataclass(frozen=True)
class CaptionedFile:
    """A picture file and its captions, best first."""

    path: Path
    captions: list[Caption]


@dataclass(frozen=True)
class FailedFile:
    """A path without captions, and the reason."""

    path: Path
    reason: str


def find_pictures(paths: Iterable[str]) -> list[Path | FailedFile]:
    """List the files that paths stand for: files as given, folders and globs in sorted order.

    A folder stands for the files in it, at any depth, that have the suffix of a picture. A folder
    or glob without any is listed as a `FailedFile`.
    """
    found: list[Path | FailedFile] = []
    for name in paths:
        path = Path(name)
        if path.is_dir():
            pictures = sorted(p for p in path.rglob("*") if p.is_file() and _is_picture(p))
            found += pictures or [FailedFile(path, "there are no pictures in this folder")]
        elif path.exists() or not glob.has_magic(name):
            found.append(path)
        else:
            matches = [Path(match) for match in sorted(glob.glob(name, recursive=True))]  # noqa: PTH207 - Path.glob takes no absolute pattern
            files = [match for match in matches if match.is_file()]
            found += files or [FailedFile(path, "no file matches this pattern")]
    return found


@dataclass(frozen=True)
class _PreparedPicture:
    """A picture file, prepared for the encoder."""

    path: Path
    pixels: NDArray[np.float32]


def caption_files(
    captioner: Captioner,
    paths: Iterable[Path | FailedFile],
    decoding: DecodingConfig,
    *,
    batch_size: int,
    max_pixels: int,
    image_gain: bool = False,
) -> Generator[CaptionedFile | FailedFile, None, None]:
    """Caption files, `batch_size` at a time, and yield one result for each, in order.

    At most `BATCHES_AHEAD` batches are taken from `paths` beyond the one that the model works on.
    Close the generator to stop early.

    Raises:
        ValueError: `image_gain` is set and the captioner has no mean picture.
    """
    search = partial(captioner.search, decoding=decoding, image_gain=image_gain)

    def prepare(path: Path | FailedFile) -> _PreparedPicture | FailedFile:
        return path if isinstance(path, FailedFile) else _prepare(captioner, path, max_pixels)

    prepared = prefetch(
        prepare,
        paths,
        threads=min(usable_cores(), _MAX_THREADS),
        ahead=BATCHES_AHEAD * batch_size,
    )
    batch: list[_PreparedPicture | FailedFile] = []
    pictures = 0
    with closing(prepared):
        for entry in prepared:
            batch.append(entry)
            pictures += not isinstance(entry, FailedFile)
            # With no picture waiting before it, a failure is reported at once.
            if pictures in (0, batch_size):
                yield from _caption_batch(captioner, batch, search)
                batch, pictures = [], 0
        yield from _caption_batch(captioner, batch, search)


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES


def _prepare(captioner: Captioner, path: Path, max_pixels: int) -> _PreparedPicture | FailedFile:
    try:
        return _PreparedPicture(path, captioner.prepare([read_picture(path, max_pixels).image]))
    except OSError as error:
        return FailedFile(path, error.strerror or str(error))
    except PictureError as error:
        return FailedFile(path, error.message)


def _caption_batch(
    captioner: Captioner,
    batch: list[_PreparedPicture | FailedFile],
    search: Callable[..., list[list[Caption]]],
) -> Iterator[CaptionedFile | FailedFile]:
    pixels = [entry.pixels for entry in batch if isinstance(entry, _PreparedPicture)]
    grid = captioner.encode(np.concatenate(pixels)) if pixels else None
    captions = iter([] if grid is None else search(grid))
    for entry in batch:
        yield entry if isinstance(entry, FailedFile) else CaptionedFile(entry.path, next(captions))
