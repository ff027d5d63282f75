"""What runs in threads, never in the event loop: decode, infer, score, write a slice.

Knows pictures and models; knows nothing of threads, queues or HTTP.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from app.pictures.decode import decode_picture
from model.decoding.beam_search import SearchCancelled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from app.serving.batcher import Pending
    from model.captioning.captioner import Caption, Captioner
    from model.config import DecodingConfig, SamplingConfig
    from model.text.generation import Generation
    from model.text.language_model import LanguageModel
    from model.text.prefill import Incremental
    from model.text.stop_strings import TextDelta

__all__ = [
    "CaptionJob",
    "CaptionJobResult",
    "Decoded",
    "GenerationRequest",
    "advance",
    "decode",
    "infer",
    "start_generation",
    "write",
]

Result = TypeVar("Result")

_SLICE = 0.025  # seconds that a text is written or read at a time


@dataclass(frozen=True)
class Decoded:
    """A picture as the encoder expects it; times by `time.perf_counter`, in seconds."""

    pixels: NDArray[np.float32]
    width: int
    height: int
    format: str
    began: float
    ended: float


@dataclass(frozen=True)
class CaptionJob:
    """A picture as the encoder expects it (1, 3, size, size), and what is to be told of it."""

    pixels: NDArray[np.float32]
    decoding: DecodingConfig
    attention: bool = False
    image_gain: bool = False


@dataclass(frozen=True)
class CaptionJobResult:
    """A picture's captions, best first; times by `time.perf_counter`, in seconds.

    `share` is how many seconds the models worked for this picture, among those of its batch.
    """

    captions: list[Caption]
    began: float
    encoded: float
    ended: float
    share: float


@dataclass(frozen=True)
class GenerationRequest:
    """What is to be written; `top` is how many alternatives are told of each token."""

    prompt: str
    n: int
    seed: int
    stop: tuple[str, ...]
    top: int
    sampling: SamplingConfig


def decode(captioner: Captioner, data: bytes, max_pixels: int) -> Decoded:
    """Turn an untrusted file into the tensor that the encoder expects.

    Raises:
        PictureError: the bytes are no sound picture.
    """
    began = time.perf_counter()
    picture = decode_picture(data, max_pixels)
    pixels = captioner.prepare([picture.image])
    ended = time.perf_counter()
    return Decoded(pixels, picture.width, picture.height, picture.format, began, ended)


def infer(
    captioner: Captioner, batch: Sequence[Pending[CaptionJob, CaptionJobResult]]
) -> Sequence[CaptionJobResult | None]:
    """Find the captions of pictures, together; None for those that nobody waits for any more.

    All are encoded at once; those that were asked for alike are searched at once.
    """
    began = time.perf_counter()
    grid = captioner.encode(np.concatenate([waiting.item.pixels for waiting in batch]))
    if captioner.device != "cpu":
        import torch  # noqa: PLC0415

        # Let the GPU finish, so that time is put down to the stage that took it.
        torch.accelerator.synchronize(captioner.device)
    encoded = time.perf_counter()
    alike: dict[tuple[DecodingConfig, bool, bool], list[int]] = {}
    for index, waiting in enumerate(batch):
        if not waiting.cancelled:
            item = waiting.item
            alike.setdefault((item.decoding, item.attention, item.image_gain), []).append(index)
    inferred: list[CaptionJobResult | None] = [None] * len(batch)
    for (decoding, attention, image_gain), indices in alike.items():
        searching = time.perf_counter()
        with suppress(SearchCancelled):
            found = captioner.search(
                grid[indices],
                **asdict(decoding),
                attention=attention,
                image_gain=image_gain,
                cancelled=partial(_all_gone, [batch[index] for index in indices]),
            )
            ended = time.perf_counter()
            for index, captions in zip(indices, found, strict=True):
                share = (encoded - began) / len(batch) + (ended - searching) / len(indices)
                inferred[index] = CaptionJobResult(captions, began, encoded, ended, share)
    return inferred


def _all_gone(waiting: Sequence[Pending[CaptionJob, CaptionJobResult]]) -> bool:
    return all(one.cancelled for one in waiting)


def start_generation(language_model: LanguageModel, order: GenerationRequest) -> Generation:
    """Begin texts, whose steps are shared with those of all other orders to this writer.

    Nothing is read or written before `write` asks for it.
    """
    return language_model.start(
        order.prompt,
        order.sampling,
        n=order.n,
        seed=order.seed,
        stop=order.stop,
        top=order.top,
        together=True,
    )


def advance(work: Incremental[Result]) -> tuple[Result] | None:
    """Go on with work for a moment; give its result, in a tuple, if it has come to its end."""
    end = time.perf_counter() + _SLICE
    try:
        next(work)  # however short a moment is
        while time.perf_counter() < end:
            next(work)
    except StopIteration as ended:
        return (ended.value,)
    return None


def write(writing: Generation) -> tuple[list[TextDelta], bool]:
    """Write for a moment; give what was written, and whether that was all.

    What others' moments have written already is given at once.
    """
    end = time.perf_counter() + _SLICE
    if not writing.waits:
        while not writing.ended and time.perf_counter() < end:
            writing.go_on()
    return writing.take(), writing.ended
