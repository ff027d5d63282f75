"""Caption files in order and in batches; a bad file does not stop the rest.

While the model works on one batch, threads read, decode and prepare the pictures of the next.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from app.bulk.prefetch import prefetch
from app.bulk.reading import max_file_bytes, read_file
from app.bulk.results import CaptionedFile, FailedFile, FileResult
from app.cores import usable_cores
from app.errors import ServiceError
from app.pictures.clips import decode_clip, is_video, open_clip_upload
from app.pictures.decode import decode_picture

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator
    from pathlib import Path

    from model.arrays import Array
    from model.captioning.caption import Caption
    from model.captioning.captioner import Captioner
    from model.captioning.tags import Tag
    from model.captioning.wording import WordingConfig
    from model.config import DecodingConfig
    from model.preprocessing import Pixels

__all__ = [
    "BATCHES_AHEAD",
    "MAX_THREADS",
    "attempt",
    "caption_files",
    "is_likely_noun",
    "prepare_file",
    "usual_batch_size",
]

Result = TypeVar("Result")

# One is prepared while the model works; the other makes up for a few large photographs in a row.
# A prepared picture is small (0.8 MB at 260 x 260), however large the photograph was.
BATCHES_AHEAD = 2

# Each thread holds one whole photograph in memory: 50 million pixels take 0.4 GB. With more than 16
# threads Python itself is the limit.
MAX_THREADS = 16


# A tag is likelier right than wrong.
_LEAST_PROBABILITY = 0.5


def usual_batch_size(device: str) -> int:
    """Return how many pictures to caption at once: a GPU takes many in the time of a few."""
    return 128 if device.startswith("cuda") else 8


@dataclass(frozen=True)
class _PreparedPicture:
    """A picture file, prepared for the encoder."""

    path: Path
    pixels: Pixels


def caption_files(
    captioner: Captioner,
    paths: Iterable[Path | FailedFile],
    decoding: DecodingConfig,
    *,
    batch_size: int,
    max_pixels: int,
    image_gain: bool = False,
    tags: bool = False,
    wording: WordingConfig | None = None,
) -> Generator[FileResult, None, None]:
    """Caption files, `batch_size` at a time, and yield one result for each, in order.

    With `tags`, results have the likely nouns of each picture. `wording` says how both are put into
    words. At most `BATCHES_AHEAD` batches are taken from `paths` beyond the one that the model
    works on. Close the generator to stop early.

    Raises:
        ValueError: the captioner lacks what `image_gain` or `tags` needs.
    """
    captioner.check_support(decoding, image_gain=image_gain, tags=tags)
    search = partial(captioner.search, decoding=decoding, image_gain=image_gain)
    find_tags = captioner.tags if tags else None

    def prepare(path: Path | FailedFile) -> _PreparedPicture | FailedFile:
        if isinstance(path, FailedFile):
            return path
        prepared = prepare_file(captioner, path, max_pixels)
        return prepared if isinstance(prepared, FailedFile) else _PreparedPicture(path, prepared)

    prepared = prefetch(
        prepare,
        paths,
        threads=min(usable_cores(), MAX_THREADS),
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
                yield from _caption_batch(captioner, batch, search, find_tags, wording)
                batch, pictures = [], 0
        yield from _caption_batch(captioner, batch, search, find_tags, wording)


def prepare_file(captioner: Captioner, path: Path, max_pixels: int) -> Pixels | FailedFile:
    """Read a picture and prepare it for the encoder, or say what fails.

    Of a film that is its first frame.
    """

    def prepare() -> Pixels:
        data = read_file(path, max_file_bytes(max_pixels))
        if is_video(data):
            image = decode_clip(open_clip_upload(data, 1, max_pixels)).frames[0].image
        else:
            image = decode_picture(data, max_pixels).image
        return captioner.prepare([image])

    return attempt(path, prepare)


def attempt(path: Path, work: Callable[[], Result]) -> Result | FailedFile:
    """Do what reads a file, or say what fails."""
    try:
        return work()
    except OSError as error:
        return FailedFile(path, error.strerror or str(error))
    except MemoryError:
        return FailedFile(path, "there is not enough memory left to read it")
    except ServiceError as error:
        return FailedFile(path, error.message)


def _caption_batch(
    captioner: Captioner,
    batch: list[_PreparedPicture | FailedFile],
    search: Callable[..., list[list[Caption]]],
    find_tags: Callable[[Array], list[list[Tag]]] | None,
    wording: WordingConfig | None,
) -> Iterator[FileResult]:
    pixels = [entry.pixels for entry in batch if isinstance(entry, _PreparedPicture)]
    grid = captioner.encode(np.concatenate(pixels)) if pixels else None
    captions = iter([] if grid is None else search(grid))
    tags = iter([] if grid is None or find_tags is None else find_tags(grid))
    for entry in batch:
        if isinstance(entry, FailedFile):
            yield entry
            continue
        nouns = [tag for tag in next(tags, []) if is_likely_noun(tag)]
        captioned = CaptionedFile(entry.path, next(captions), tuple(nouns))
        yield captioned if wording is None else captioned.reworded(wording)


def is_likely_noun(tag: Tag) -> bool:
    """Whether a tag is one that XMP sidecars get."""
    return tag.kind == "noun" and tag.probability >= _LEAST_PROBABILITY
