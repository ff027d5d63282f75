"""Asynchronous requests to the models.

Pictures are decoded in a few threads, and models work in one, so that the event loop never waits
and no model is asked two things at once. Pictures that wait together are captioned together, and
the texts of one writer are written together, in slices, between which captions and others get
their turns; long texts are read in slices too. A request that is cancelled is dropped before its
next turn. Knows nothing of HTTP.
"""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import structlog

from app.errors import DeadlineExceeded, NotReady, Unavailable
from app.pictures.decode import decode_picture
from app.serving import jobs as stages
from app.serving import registry as loaded
from app.serving.batcher import Batcher
from app.serving.worker import Admission, Worker

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence

    from app.serving.batcher import Pending
    from app.serving.registry import ModelRegistry
    from app.settings import Settings
    from model.captioning.captioner import Caption, Captioner
    from model.config import DecodingConfig
    from model.text.language_model import Activations, LanguageModel, TextScore
    from model.text.prefill import Incremental
    from model.text.stop_strings import TextDelta

__all__ = ["Answer", "Engine", "ModelTiming", "Slice", "Timing"]

Chosen = TypeVar("Chosen")
Result = TypeVar("Result")

_log = structlog.get_logger("app")

_PHOTOGRAPHS = 4  # that may be in memory at once, waiting to be scored


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
class ModelTiming:
    """How long a model worked on a request, and how long it took in all; in milliseconds."""

    model: float
    total: float

    @classmethod
    def of(cls, admission: Admission) -> ModelTiming:
        """Tell a request's time so far."""
        return cls(
            round(1000 * admission.worked, 2), _milliseconds(time.perf_counter() - admission.began)
        )


@dataclass(frozen=True)
class Answer:
    """One picture's captions, best first; width and height of the upright picture."""

    captions: list[Caption]
    width: int
    height: int
    format: str
    timing: Timing


@dataclass(frozen=True)
class Slice:
    """What was written in one turn, and the time until then."""

    pieces: list[TextDelta]
    timing: ModelTiming


class Engine:
    """Loads the models in the background, then has them work.

    Args:
        settings: the weights, the device, how many requests are taken in at once.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.worker = Worker(settings.queue_size)
        self._models: ModelRegistry | None = None
        self._failed = False
        self._photographs = asyncio.Semaphore(_PHOTOGRAPHS)
        self._pictures = Batcher(self.worker, self._infer, settings.batch_size)

    @property
    def models(self) -> ModelRegistry:
        """The models, once they are loaded and warm.

        Raises:
            NotReady: not yet.
        """
        if self._models is None:
            raise NotReady("the models are being loaded: try again in a moment")
        return self._models

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Load in the background; on leaving, let the running job end and drop the others.

        Where loading fails, the process exits with the reason and status 1.
        """
        loading = asyncio.create_task(self._load_or_exit())
        try:
            yield
        except asyncio.CancelledError:
            if not self._failed:
                raise
        finally:
            loading.cancel()
            with suppress(asyncio.CancelledError):
                await loading
            await self.worker.shut_down()

    async def caption(
        self,
        captioner: Captioner,
        data: bytes,
        decoding: DecodingConfig,
        *,
        attention: bool = False,
        image_gain: bool = False,
    ) -> Answer:
        """Caption the picture in an untrusted file.

        Raises:
            Overloaded: too many requests are in hand.
            DeadlineExceeded: the deadline has passed.
            PictureError: the bytes are no sound picture.
        """
        with self.worker.admit() as admission, self._deadline():
            async with asyncio.timeout(self.settings.deadline):
                decoded = await admission.run_in_pool(
                    stages.decode, captioner, data, self.settings.max_pixels
                )
                asked = stages.CaptionJob(decoded.pixels, decoding, attention, image_gain)
                inferred = await self._pictures.submit(asked)
            admission.worked += inferred.share
        return Answer(
            inferred.captions,
            decoded.width,
            decoded.height,
            decoded.format,
            _timing(admission.began, decoded, inferred),
        )

    async def score_caption(
        self, captioner: Captioner, data: bytes, text: str
    ) -> tuple[Caption, ModelTiming]:
        """Score a text about the picture in an untrusted file.

        Raises:
            Overloaded, PictureError: as in `caption`.
        """
        # The whole photograph waits here, not a small tensor: so only a few may.
        with self.worker.admit() as admission:
            async with self._photographs:
                picture = await admission.run_in_pool(
                    decode_picture, data, self.settings.max_pixels
                )
                caption = await admission.run(captioner.score, picture.image, text)
        return caption, ModelTiming.of(admission)

    async def language_model(self, name: str) -> LanguageModel:
        """Give a writer that there is, loaded if it was not in memory.

        Raises:
            Overloaded: too many requests are in hand, and it would have to be loaded.
            Unavailable: its weights cannot be used.
        """
        cache = self.models.cache
        if (language_model := cache.find(name)) is not None:
            return language_model
        with self.worker.admit() as admission:
            try:
                return await admission.run(cache.load, name)
            except ValueError as error:
                _log.critical("a model cannot be loaded", model=name, reason=str(error))
                raise Unavailable(
                    f"the model {name!r} cannot be loaded: the log of the service says why", 60
                ) from error

    async def write(
        self, language_model: LanguageModel, order: stages.GenerationRequest
    ) -> AsyncGenerator[Slice]:
        """Write texts, one slice after the other; the next is begun when it is asked for.

        Raises:
            Overloaded: too many requests are in hand.
        """
        with (
            self.worker.admit() as admission,
            closing(stages.start_generation(language_model, order)) as writing,
        ):
            ended = False
            while not ended:
                pieces, ended = await self.worker.run(stages.write, writing)
                admission.worked = writing.seconds
                yield Slice(pieces, ModelTiming.of(admission))

    async def score(
        self, language_model: LanguageModel, text: str
    ) -> tuple[TextScore, ModelTiming]:
        """Score a text.

        Raises:
            Overloaded: too many requests are in hand.
        """
        with self.worker.admit() as admission:
            scored = await _incrementally(admission, language_model.score_incrementally(text))
        return scored, ModelTiming.of(admission)

    async def activations(
        self, language_model: LanguageModel, text: str, choose: Callable[[Activations], Chosen]
    ) -> tuple[Chosen, ModelTiming]:
        """Look at every unit after every token, and choose, beside the models, what is of use.

        Raises:
            Overloaded: too many requests are in hand.
        """
        with self.worker.admit() as admission:
            seen = await _incrementally(admission, language_model.activations_incrementally(text))
            chosen = await admission.run_in_pool(choose, seen)
        return chosen, ModelTiming.of(admission)

    def _infer(
        self, batch: Sequence[Pending[stages.CaptionJob, stages.CaptionJobResult]]
    ) -> Sequence[stages.CaptionJobResult | None]:
        return stages.infer(self.models.find_captioner(), batch)

    @contextmanager
    def _deadline(self) -> Iterator[None]:
        """Tell a client whose time is over so."""
        try:
            yield
        except TimeoutError as error:
            raise DeadlineExceeded(
                f"the caption was not found in {self.settings.deadline:g} seconds: try again later",
                retry_after=self.worker.expected_wait,
            ) from error

    async def load(self) -> None:
        """Load the models and have them work once; `running` does it in the background.

        Raises:
            ValueError: a model cannot be loaded; the message says why.
        """
        began = time.perf_counter()
        models = await self.worker.run(loaded.load, self.settings)
        self._models = models
        _log.info(
            "ready",
            device=models.cache.device,
            models=list(models.all),
            seconds=round(time.perf_counter() - began, 2),
        )

    async def _load_or_exit(self) -> None:
        try:
            await self.load()
        except Exception as error:
            self._failed = True
            # A ValueError's message says all; anything else is a fault that needs its traceback.
            expected = isinstance(error, ValueError)
            _log.critical("a model cannot be loaded", reason=str(error), exc_info=not expected)
            # From a callback, SystemExit leaves the event loop, and its runner cleans up.
            asyncio.get_running_loop().call_soon(sys.exit, 1)


async def _incrementally(admission: Admission, work: Incremental[Result]) -> Result:
    """Do work a moment at a time, so that others get their turns in between."""
    while True:
        if ended := await admission.run(stages.advance, work):
            return ended[0]


def _timing(received: float, decoded: stages.Decoded, inferred: stages.CaptionJobResult) -> Timing:
    spans = {
        "decode": decoded.ended - decoded.began,
        "queue": decoded.began - received + inferred.began - decoded.ended,
        "encode": inferred.encoded - inferred.began,
        "search": inferred.ended - inferred.encoded,
        "total": inferred.ended - received,
    }
    return Timing(**{name: _milliseconds(seconds) for name, seconds in spans.items()})


def _milliseconds(seconds: float) -> float:
    return round(1000 * seconds, 2)
