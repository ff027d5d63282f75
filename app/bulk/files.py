"""Files, folders and globs to captions, in order and in batches; a bad file stops nothing.

Coming pictures are read, decoded and prepared in threads while the model works on a batch. Knows
paths and pictures; does not know how results are shown or kept.
"""

from __future__ import annotations

import glob
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from app.bulk.prefetch import prefetch
from app.cores import usable_cores
from app.errors import PictureError
from app.pictures.decode import SUFFIXES, read_picture

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from numpy.typing import NDArray

    from model.captioning.captioner import Caption, Captioner
    from model.config import DecodingConfig

__all__ = ["BATCHES_AHEAD", "Captioned", "Failed", "caption_files", "find_pictures"]

# One is prepared while the model works; the other makes up for a few large photographs in a row.
# What waits is small (0.8 MB a picture at 260 x 260), whatever the photographs are.
BATCHES_AHEAD = 2

# A photograph is whole in memory while its thread works on it: 50 million pixels take 0.4 GB.
_MOST_THREADS = 8


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


@dataclass(frozen=True)
class _Prepared:
    """A picture file as the encoder expects it."""

    path: Path
    pixels: NDArray[np.float32]


def caption_files(
    captioner: Captioner,
    paths: Iterable[Path | Failed],
    decoding: DecodingConfig,
    *,
    batch_size: int,
    max_pixels: int,
    image_gain: bool = False,
) -> Generator[Captioned | Failed, None, None]:
    """Caption files, `batch_size` at a time, and yield one result for each, in order.

    Beside the batch that the model works on, no more than `BATCHES_AHEAD` batches are taken from
    `paths`. Close the generator to stop early.

    Raises:
        ValueError: image_gain is asked for and the captioner has no mean picture.
    """
    options = asdict(decoding) | {"image_gain": image_gain}

    def prepare(path: Path | Failed) -> _Prepared | Failed:
        return path if isinstance(path, Failed) else _prepare(captioner, path, max_pixels)

    coming = prefetch(
        prepare,
        paths,
        threads=min(usable_cores(), _MOST_THREADS),
        ahead=BATCHES_AHEAD * batch_size,
    )
    batch: list[_Prepared | Failed] = []
    pictures = 0
    with closing(coming):
        for entry in coming:
            batch.append(entry)
            pictures += not isinstance(entry, Failed)
            # Failures are not held back once nothing before them waits.
            if pictures in (0, batch_size):
                yield from _caption_batch(captioner, batch, options)
                batch, pictures = [], 0
        yield from _caption_batch(captioner, batch, options)


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES


def _prepare(captioner: Captioner, path: Path, max_pixels: int) -> _Prepared | Failed:
    try:
        return _Prepared(path, captioner.prepare([read_picture(path, max_pixels).image]))
    except OSError as error:
        return Failed(path, error.strerror or str(error))
    except PictureError as error:
        return Failed(path, error.message)


def _caption_batch(
    captioner: Captioner, batch: list[_Prepared | Failed], options: dict[str, Any]
) -> Iterator[Captioned | Failed]:
    pixels = [entry.pixels for entry in batch if isinstance(entry, _Prepared)]
    grid = captioner.encode(np.concatenate(pixels)) if pixels else None
    captions = iter([] if grid is None else captioner.search(grid, **options))
    for entry in batch:
        yield entry if isinstance(entry, Failed) else Captioned(entry.path, next(captions))
