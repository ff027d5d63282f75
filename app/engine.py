"""Asynchronous requests to one inference thread.

Pictures are decoded in a few threads and captioned in one, so that the event loop never waits
and the model is never asked two things at once. What waits for the model is a small tensor, not
a photograph. A job whose request is cancelled before its turn is dropped. Knows nothing of HTTP.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from app import stages
from app.errors import NotReady, Overloaded

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from app.settings import Settings
    from model.captioner import Caption, Captioner
    from model.config import DecodingConfig

__all__ = ["Answer", "Engine", "Timing"]

_log = structlog.get_logger("app")

_DECODING_THREADS = min(4, os.cpu_count() or 1)


@dataclass(frozen=True)
class Timing:
    """Where a caption's time went, in milliseconds.

    `decode` is from file to tensor; `queue` all the waiting for a free thread; `total` is from
    the whole request received to the captions found.
    """

    decode: float
    queue: float
    encode: float
    search: float
    total: float


@dataclass(frozen=True)
class Answer:
    """One picture's captions, best first; width and height of the upright picture."""

    captions: list[Caption]
    width: int
    height: int
    format: str
    timing: Timing


class Engine:
    """Loads the captioner in the background, then captions.

    Args:
        settings: the weights, the device, how many requests are taken in at once.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._captioner: Captioner | None = None
        self._failed = False
        self._in_hand = 0
        self._seconds = 0.1  # that the model takes for a picture, a moving average
        self._inference = ThreadPoolExecutor(1, "inference")
        self._decoding = ThreadPoolExecutor(_DECODING_THREADS, "decoding")

    @property
    def captioner(self) -> Captioner:
        """The captioner, once it is loaded and warm.

        Raises:
            NotReady: not yet.
        """
        if self._captioner is None:
            raise NotReady("the model is being loaded: try again in a moment")
        return self._captioner

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Load in the background; on leaving, let the running job end and drop the others.

        Where loading fails, the process exits with the reason and status 1.
        """
        loading = asyncio.create_task(self._load())
        try:
            yield
        except asyncio.CancelledError:
            if not self._failed:
                raise
        finally:
            loading.cancel()
            with suppress(asyncio.CancelledError):
                await loading
            for threads in (self._inference, self._decoding):
                await asyncio.to_thread(threads.shutdown, cancel_futures=True)

    async def caption(
        self, data: bytes, decoding: DecodingConfig, *, attention: bool = False
    ) -> Answer:
        """Caption the picture in an untrusted file.

        Raises:
            NotReady: the model is being loaded.
            Overloaded: too many requests are in hand.
            PictureError: the bytes are no sound picture.
        """
        received = time.perf_counter()
        captioner, max_pixels = self.captioner, self.settings.max_pixels
        loop = asyncio.get_running_loop()
        with self._admitted():
            decoded = await loop.run_in_executor(
                self._decoding, stages.decode, captioner, data, max_pixels
            )
            inferred = await loop.run_in_executor(
                self._inference, stages.infer, captioner, decoded.pixels, decoding, attention
            )
        self._seconds += 0.1 * (inferred.ended - inferred.began - self._seconds)
        return Answer(
            inferred.captions,
            decoded.width,
            decoded.height,
            decoded.format,
            _timing(received, decoded, inferred),
        )

    @contextmanager
    def _admitted(self) -> Iterator[None]:
        if self._in_hand >= self.settings.queue_size:
            raise Overloaded(
                f"{self._in_hand} requests are in hand, and no more are taken: try again later",
                retry_after=self._in_hand * self._seconds,
            )
        self._in_hand += 1
        try:
            yield
        finally:
            self._in_hand -= 1

    async def _load(self) -> None:
        loop = asyncio.get_running_loop()
        began = time.perf_counter()
        try:
            captioner = await loop.run_in_executor(self._inference, stages.load, self.settings)
        except Exception as error:
            self._failed = True
            # A ValueError's message says all; anything else is a fault that needs its traceback.
            expected = isinstance(error, ValueError)
            _log.critical(
                "the captioner cannot be loaded", reason=str(error), exc_info=not expected
            )
            # From a callback, SystemExit leaves the event loop, and its runner cleans up.
            loop.call_soon(sys.exit, 1)
            return
        self._captioner = captioner
        _log.info(
            "ready",
            model=captioner.config.name,
            device=str(captioner.device),
            seconds=round(time.perf_counter() - began, 2),
        )


def _timing(received: float, decoded: stages.Decoded, inferred: stages.Inferred) -> Timing:
    spans = {
        "decode": decoded.ended - decoded.began,
        "queue": decoded.began - received + inferred.began - decoded.ended,
        "encode": inferred.encoded - inferred.began,
        "search": inferred.ended - inferred.encoded,
        "total": inferred.ended - received,
    }
    return Timing(**{name: round(1000 * seconds, 2) for name, seconds in spans.items()})
