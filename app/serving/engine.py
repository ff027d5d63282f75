"""Asynchronous requests to the models.

Pictures are prepared in a pool of threads, large ones in processes, and models run in one thread
of their own, so that the event loop never blocks and no model is called twice at once. Pending
pictures are captioned in batches. Texts are read and written in time slices, between which other
requests run; all texts of one language model share its steps. A cancelled request is dropped before
its next time slice.
"""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import asynccontextmanager, closing, suppress
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import structlog

from app.errors import DeadlineExceeded, NotReady, Unavailable
from app.pictures.process import DecodeRequest, decode_clip_in_process, decode_in_process
from app.serving import jobs, registry
from app.serving.allocator import return_large_blocks
from app.serving.batcher import Batcher
from app.serving.clips import PreparedClip, prepare_clip, prepare_decoded_clip
from app.serving.jobs import PreparedPicture
from app.serving.memory_budget import MemoryBudget
from app.serving.metrics import Metrics
from app.serving.results import (
    CaptionedPicture,
    GenerationChunk,
    ModelTiming,
    ServedClip,
    Timing,
)
from app.serving.worker import Admission, Worker
from model.captioning.clip import caption_clip

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable

    from PIL import Image

    from app.serving.registry import ModelRegistry
    from app.settings import Settings
    from model.captioning.caption import Caption
    from model.captioning.captioner import Captioner
    from model.captioning.scoring import CaptionStates
    from model.config import DecodingConfig
    from model.text.language_model import LanguageModel
    from model.text.prefill import Incremental
    from model.text.request import GenerationRequest
    from model.text.scores import Activations, TextScore

__all__ = ["Engine"]

Result = TypeVar("Result")

_log = structlog.get_logger("app")

# Bytes that the processes for large pictures may take together, beside the service's own threads.
_LARGE_PICTURES_MEMORY = 640e6


class Engine:
    """Loads the models in the background and runs requests on them.

    Args:
        settings: the weights, the device, and the limits on requests.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.worker = Worker(settings.queue_size, self.metrics)
        self._models: ModelRegistry | None = None
        self._failed = False
        self._stopping = False
        self._large_pictures = MemoryBudget(_LARGE_PICTURES_MEMORY)
        self._batcher = Batcher(
            self.worker, jobs.run_caption_jobs, settings.batch_size, self.metrics.batch_size.observe
        )

    @property
    def models(self) -> ModelRegistry:
        """The models, once they are loaded and warm.

        Raises:
            NotReady: they are still loading.
        """
        if self._models is None:
            raise NotReady("the models are still loading: try again in a moment")
        return self._models

    def check_ready(self) -> None:
        """Raise `NotReady` while the models load, and once the service is about to stop."""
        if self._stopping:
            raise NotReady("the service is about to stop: send requests elsewhere")
        _ = self.models

    def announce_stop(self) -> None:
        """Be ready no more; requests are answered all the same."""
        self._stopping = True

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Load in the background; on exit, finish the running job and drop the others.

        If loading fails, the process exits with the reason and status 1.
        """
        return_large_blocks()
        loading = asyncio.create_task(self._load_or_exit())
        try:
            if self.settings.workers > 1:  # let the other processes answer until then
                await loading
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
        top_logprobs: int = 0,
        tags: bool = False,
        trace: bool = False,
        overlay: bool = False,
    ) -> CaptionedPicture:
        """Caption the picture in an untrusted file.

        What a captioner supports, `Captioner.check_support` tells beforehand.

        Raises:
            Overloaded: too many requests are in flight.
            DeadlineExceeded: the captions are not ready by the deadline.
            PictureError: the file is not a valid picture.
        """
        with self.worker.admit() as admission:
            async with self._deadline(self.settings.deadline):
                picture = await self._prepare(admission, captioner, data)
                job = jobs.CaptionJob(
                    captioner,
                    picture.pixels,
                    decoding,
                    attention or overlay,
                    image_gain,
                    top_logprobs,
                    tags,
                    trace,
                )
                result = await self._batcher.submit(job)
                overlays = None
                if overlay:
                    overlays = await admission.run_in_pool(
                        jobs.draw_overlays, captioner, picture, result.captions[0]
                    )
            timing = Timing.of(admission.started, picture, result)
            admission.model_seconds += result.model_seconds
            admission.queue_seconds += timing.queue / 1000
        if (confidence := result.captions[0].confidence) is not None:
            self.metrics.confidence.observe(confidence)
        return CaptionedPicture(
            result.captions,
            picture.width,
            picture.height,
            picture.format,
            timing,
            result.tags,
            result.trace,
            overlays,
        )

    async def caption_clip(
        self,
        captioner: Captioner,
        data: bytes,
        decoding: DecodingConfig,
        *,
        frames: int,
        attention: bool = False,
        image_gain: bool = False,
        top_logprobs: int = 0,
        tags: bool = False,
    ) -> ServedClip:
        """Caption frames of the clip in an untrusted file, and the whole of it.

        A few frames at a time, between which other requests run.

        Raises:
            Overloaded, DeadlineExceeded, PictureError: as in `caption`.
        """
        with self.worker.admit() as admission:
            async with self._deadline(self.settings.deadline):
                prepared = await self._prepare_clip(admission, captioner, data, frames)
                work = caption_clip(
                    captioner,
                    prepared.pixels,
                    decoding,
                    weights=[frame.weight for frame in prepared.clip.frames],
                    attention=attention,
                    image_gain=image_gain,
                    top_logprobs=top_logprobs,
                    tags=tags,
                )
                captioned = await _run_incrementally(admission, work)
            timing = Timing.of_clip(admission.started, prepared.seconds, captioned)
        return ServedClip(captioned, prepared.clip, timing)

    async def score_caption(
        self, captioner: Captioner, data: bytes, text: str, *, top_logprobs: int = 0
    ) -> tuple[Caption, ModelTiming]:
        """Score a text as a caption of the picture in an untrusted file.

        Raises:
            Overloaded, DeadlineExceeded, PictureError: as in `caption`.
        """
        score = partial(captioner.score, top_logprobs=top_logprobs)
        return await self._read_caption(captioner, data, text, score)

    async def score_caption_with_states(
        self, captioner: Captioner, data: bytes, text: str, *, top_logprobs: int = 0
    ) -> tuple[tuple[Caption, CaptionStates], ModelTiming]:
        """Score a caption, and return the state of every unit while the captioner reads it.

        Raises:
            Overloaded, DeadlineExceeded, PictureError: as in `caption`.
        """
        score = partial(captioner.score_with_states, top_logprobs=top_logprobs)
        return await self._read_caption(captioner, data, text, score)

    async def _read_caption(
        self,
        captioner: Captioner,
        data: bytes,
        text: str,
        read: Callable[[Image.Image, str], Result],
    ) -> tuple[Result, ModelTiming]:
        with self.worker.admit() as admission:
            async with self._deadline(self.settings.deadline):
                picture = await self._prepare(admission, captioner, data)
                result = await admission.run(read, picture.image, text)
        return result, ModelTiming.of(admission)

    async def _prepare(
        self, admission: Admission, captioner: Captioner, data: bytes
    ) -> PreparedPicture:
        """Decode and resize a picture: in a thread, or if it costs much, in a process.

        A process is killed when the request is cancelled, at its deadline or by its client.
        """
        max_pixels = self.settings.max_pixels
        found = await admission.run_in_pool(jobs.prepare_picture, captioner, data, max_pixels)
        if isinstance(found, PreparedPicture):
            return found
        async with self._large_pictures.hold(found.memory):
            started = time.perf_counter()
            config = captioner.preprocessing.config
            request = DecodeRequest(max_pixels, config.size, config.resize)
            picture = await decode_in_process(data, request)
        return await admission.run_in_pool(jobs.prepare_decoded, captioner, picture, started)

    async def _prepare_clip(
        self, admission: Admission, captioner: Captioner, data: bytes, frames: int
    ) -> PreparedClip:
        """Decode and resize frames of a clip, as `_prepare` does with a picture."""
        max_pixels = self.settings.max_pixels
        found = await admission.run_in_pool(prepare_clip, captioner, data, frames, max_pixels)
        if isinstance(found, PreparedClip):
            return found
        async with self._large_pictures.hold(found.memory):
            started = time.perf_counter()
            config = captioner.preprocessing.config
            request = DecodeRequest(max_pixels, config.size, config.resize, frames)
            clip = await decode_clip_in_process(data, request)
        return await admission.run_in_pool(prepare_decoded_clip, captioner, clip, started)

    async def language_model(self, name: str) -> LanguageModel:
        """Return a language model, loading it if needed.

        Raises:
            Overloaded: it would have to be loaded, and too many requests are in flight.
            Unavailable: its weights cannot be used.
        """
        cache = self.models.cache
        if (language_model := cache.find(name)) is not None:
            return language_model
        with self.worker.admit() as admission:
            try:
                return await admission.run(cache.load, name)
            except (ValueError, OSError, RuntimeError) as error:  # files damaged after the start
                _log.critical("a model cannot be loaded", model=name, reason=str(error))
                raise Unavailable(
                    f"the model {name!r} cannot be loaded: see the service's log", 60
                ) from error

    async def generate(
        self, language_model: LanguageModel, request: GenerationRequest
    ) -> AsyncGenerator[GenerationChunk]:
        """Generate texts, one chunk per time slice; the next starts when it is requested.

        Raises:
            Overloaded: too many requests are in flight.
            DeadlineExceeded: the texts were not finished by the deadline.
        """
        with (
            self.worker.admit() as admission,
            closing(jobs.start_generation(language_model, request)) as generation,
        ):
            tokens = self.metrics.tokens.labels(language_model.config.name)
            ended = False
            while not ended:
                # No `asyncio.timeout`: whoever requests the next chunk may be another task.
                if time.perf_counter() - admission.started > self.settings.text_deadline:
                    raise self._too_late(self.settings.text_deadline)
                deltas, ended = await admission.run(jobs.advance_generation, generation)
                admission.model_seconds = generation.seconds  # less than the slice, if shared
                tokens.inc(sum(delta.token is not None for delta in deltas))
                yield GenerationChunk(deltas, ModelTiming.of(admission))

    async def score(
        self, language_model: LanguageModel, text: str
    ) -> tuple[TextScore, ModelTiming]:
        """Score a text.

        Raises:
            Overloaded, DeadlineExceeded: as in `generate`.
        """
        with self.worker.admit() as admission:
            async with self._deadline(self.settings.text_deadline):
                score = await _run_incrementally(
                    admission, language_model.score_incrementally(text)
                )
        return score, ModelTiming.of(admission)

    async def activations(
        self,
        language_model: LanguageModel,
        text: str,
        select: Callable[[Activations], Result],
        *,
        states: bool = False,
    ) -> tuple[Result, ModelTiming]:
        """Compute the activations of all units, and apply `select` to them in the pool.

        With `states`, they have the units' h and c too.

        Raises:
            Overloaded, DeadlineExceeded: as in `generate`.
        """
        with self.worker.admit() as admission:
            async with self._deadline(self.settings.text_deadline):
                activations = await _run_incrementally(
                    admission, language_model.activations_incrementally(text, states=states)
                )
                selected = await admission.run_in_pool(select, activations)
        return selected, ModelTiming.of(admission)

    @asynccontextmanager
    async def _deadline(self, seconds: float) -> AsyncIterator[None]:
        """Cancel the block after so many seconds, with `DeadlineExceeded`."""
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError as error:
            raise self._too_late(seconds) from error

    def _too_late(self, seconds: float) -> DeadlineExceeded:
        return DeadlineExceeded(
            f"the answer was not ready in {seconds:g} seconds: try again later",
            retry_after=self.worker.expected_wait,
        )

    async def load(self) -> None:
        """Load and warm up the models; `running` does it in the background.

        Raises:
            ValueError: a model cannot be loaded; the message says why.
        """
        started = time.perf_counter()
        models = await self.worker.run(registry.load_models, self.settings)
        self._models = models
        self.metrics.show_models(models)
        _log.info(
            "ready",
            device=models.cache.device,
            models=list(models.all),
            seconds=round(time.perf_counter() - started, 2),
        )

    async def _load_or_exit(self) -> None:
        try:
            await self.load()
        except Exception as error:
            self._failed = True
            # The message of a ValueError is enough; any other error is a bug and needs a traceback.
            expected = isinstance(error, ValueError)
            _log.critical("a model cannot be loaded", reason=str(error), exc_info=not expected)
            # Raised from a callback, SystemExit leaves the event loop, whose runner cleans up.
            asyncio.get_running_loop().call_soon(sys.exit, 1)


async def _run_incrementally(admission: Admission, work: Incremental[Result]) -> Result:
    """Run work one time slice at a time, so that other requests run in between."""
    while True:
        if finished := await admission.run(jobs.advance, work):
            return finished[0]
