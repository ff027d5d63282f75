"""The functions that run in threads: prepare a picture, caption a batch, generate a time slice."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np

from app.pictures.decode import DecodedPicture, decode_opened, open_upload
from model.captioning.overlay import OVERLAY_SIDE, draw_overlay
from model.decoding.hypothesis import DecodingCancelled
from model.decoding.search_trace import SearchRecorder
from model.preprocessing import resize

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Sequence

    from PIL import Image

    from model.captioning.caption import Caption
    from model.captioning.captioner import Captioner
    from model.captioning.tags import Tag
    from model.config import DecodingConfig
    from model.decoding.search_trace import SearchTrace
    from model.pictures.cost import Cost
    from model.preprocessing import Pixels
    from model.text.deltas import TextDelta
    from model.text.generation import Generation
    from model.text.language_model import LanguageModel
    from model.text.prefill import Incremental
    from model.text.request import GenerationRequest

__all__ = [
    "CaptionJob",
    "CaptionJobResult",
    "PreparedPicture",
    "advance",
    "advance_generation",
    "draw_overlays",
    "fits_thread",
    "prepare_decoded",
    "prepare_picture",
    "run_caption_jobs",
    "start_generation",
]

Result = TypeVar("Result")
Key = TypeVar("Key", bound="Hashable")

# What a thread of the preprocessing pool decodes: JPEGs of 25 million pixels, PNGs of 20 million.
_MAX_SECONDS = 1.0
_MAX_MEMORY = 210e6  # bytes

_TIME_SLICE = 0.025  # seconds of reading or writing a text before other requests run


@dataclass(frozen=True)
class PreparedPicture:
    """A picture as the encoder expects it; times by `time.perf_counter`, in seconds.

    Attributes:
        image: RGB, resized for the encoder.
        pixels: the same as an array of one, see `model.preprocessing`.
        width, height: of the upright picture in the file.
    """

    image: Image.Image
    pixels: Pixels
    width: int
    height: int
    format: str
    started: float
    ended: float


@dataclass(frozen=True)
class CaptionJob:
    """A prepared picture, the captioner to run, and its options."""

    captioner: Captioner
    pixels: Pixels
    decoding: DecodingConfig
    attention: bool = False
    image_gain: bool = False
    top_logprobs: int = 0
    tags: bool = False
    trace: bool = False


@dataclass(frozen=True)
class CaptionJobResult:
    """A picture's captions, best first; times by `time.perf_counter`, in seconds.

    `tags` and `trace` are there if asked for. `model_seconds` is this picture's share of the time
    that the model worked on the batch.
    """

    captions: list[Caption]
    started: float
    encoded: float
    ended: float
    model_seconds: float
    tags: list[Tag] | None = None
    trace: SearchTrace | None = None


def fits_thread(cost: Cost) -> bool:
    """Whether a thread of the preprocessing pool decodes what costs so much."""
    return cost.seconds <= _MAX_SECONDS and cost.memory <= _MAX_MEMORY


def prepare_picture(captioner: Captioner, data: bytes, max_pixels: int) -> PreparedPicture | Cost:
    """Decode an untrusted file into the array that the encoder expects.

    Returns:
        The picture; or what it would cost to decode, if that is too much for a thread, which cannot
        be stopped.

    Raises:
        PictureError: the file is not a valid picture.
    """
    started = time.perf_counter()
    opened = open_upload(data, max_pixels)
    if not fits_thread(opened.cost):
        return opened.cost
    return prepare_decoded(captioner, decode_opened(opened), started)


def prepare_decoded(
    captioner: Captioner, picture: DecodedPicture, started: float
) -> PreparedPicture:
    """Turn a decoded picture into the array that the encoder expects."""
    config = captioner.preprocessing.config
    image = resize(picture.image, config.size, config.resize)
    pixels = captioner.prepare([image])
    ended = time.perf_counter()
    return PreparedPicture(
        image, pixels, picture.width, picture.height, picture.format, started, ended
    )


def draw_overlays(
    captioner: Captioner, picture: PreparedPicture, caption: Caption
) -> list[bytes] | None:
    """Draw where the captioner looked for each token, as PNG files; None without attention."""
    image = picture.image
    if captioner.preprocessing.config.resize == "squash":  # back into the picture's shape
        scale = OVERLAY_SIDE / max(picture.width, picture.height)
        sides = (picture.width, picture.height)
        width, height = (max(1, round(side * scale)) for side in sides)
        image = image.resize((width, height))
    grids = [token.attention for token in caption.tokens]
    return [draw_overlay(image, grid) for grid in grids if grid is not None] or None


def run_caption_jobs(
    jobs: Sequence[CaptionJob], is_cancelled: Callable[[int], bool]
) -> Sequence[CaptionJobResult | None]:
    """Caption pictures together.

    Pictures for the same captioner are encoded together; those with the same options are also
    searched together.

    Args:
        jobs: the pictures and their options.
        is_cancelled: returns whether the job at an index has been cancelled.

    Returns:
        One result per job; None if it was cancelled.
    """
    results: list[CaptionJobResult | None] = [None] * len(jobs)
    by_captioner = _group_by(range(len(jobs)), lambda index: jobs[index].captioner)
    for captioner, members in by_captioner.items():
        started = time.perf_counter()
        grid = captioner.encode(np.concatenate([jobs[index].pixels for index in members]))
        captioner.runner.synchronize()  # so that the encoder's time is not counted as the search's
        encoded = time.perf_counter()
        rows = {index: row for row, index in enumerate(members)}  # of the grid
        remaining = (index for index in members if not is_cancelled(index))
        by_options = _group_by(remaining, lambda index: _options(jobs[index]))
        for options, indices in by_options.items():
            search_started = time.perf_counter()
            with suppress(DecodingCancelled):
                grids = grid[[rows[index] for index in indices]]
                recorder = SearchRecorder() if options.trace else None
                found = captioner.search(
                    grids,
                    options.decoding,
                    attention=options.attention,
                    image_gain=options.image_gain,
                    top_logprobs=options.top_logprobs,
                    recorder=recorder,
                    cancelled=partial(_all, is_cancelled, indices),
                )
                nothing = [None] * len(indices)
                tags: Sequence[list[Tag] | None] = nothing
                traces: Sequence[SearchTrace | None] = nothing
                if options.tags:
                    tags = captioner.tags(grids)
                if recorder is not None:
                    traces = captioner.traces(recorder, found)
                ended = time.perf_counter()
                seconds = (encoded - started) / len(members)
                seconds += (ended - search_started) / len(indices)
                for row, index in enumerate(indices):
                    results[index] = CaptionJobResult(
                        found[row], started, encoded, ended, seconds, tags[row], traces[row]
                    )
    return results


def _all(condition: Callable[[int], bool], indices: Sequence[int]) -> bool:
    return all(map(condition, indices))


class _Options(NamedTuple):
    """What jobs that are searched together have in common."""

    decoding: DecodingConfig
    attention: bool
    image_gain: bool
    top_logprobs: int
    tags: bool
    trace: bool


def _options(job: CaptionJob) -> _Options:
    return _Options(*(getattr(job, name) for name in _Options._fields))


def _group_by(indices: Iterable[int], key: Callable[[int], Key]) -> dict[Key, list[int]]:
    groups: dict[Key, list[int]] = {}
    for index in indices:
        groups.setdefault(key(index), []).append(index)
    return groups


def start_generation(language_model: LanguageModel, request: GenerationRequest) -> Generation:
    """Start texts that share the model's steps with all other requests to it.

    Nothing is read or written before `advance_generation` is called.
    """
    return language_model.start(request, shared=True)


def advance(work: Incremental[Result]) -> tuple[Result] | None:
    """Run incremental work for one time slice; return its result in a tuple if it has finished."""
    end = time.perf_counter() + _TIME_SLICE
    try:
        next(work)  # at least one step, however short the time slice
        while time.perf_counter() < end:
            next(work)
    except StopIteration as finished:
        return (finished.value,)
    return None


def advance_generation(generation: Generation) -> tuple[list[TextDelta], bool]:
    """Generate for one time slice; return the new deltas and whether generation has ended.

    Deltas that other requests' steps have already produced are returned at once.
    """
    end = time.perf_counter() + _TIME_SLICE
    if not generation.has_deltas:
        while not generation.finished and time.perf_counter() < end:
            generation.advance()
    return generation.take(), generation.finished
