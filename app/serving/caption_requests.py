"""Requests to the captioner: captions of pictures and clips, and scores of captions."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from app.pictures.process import DecodeRequest, decode_clip_in_process, decode_in_process
from app.serving import jobs
from app.serving.batcher import Batcher
from app.serving.clips import PreparedClip, prepare_clip, prepare_decoded_clip
from app.serving.jobs import PreparedPicture
from app.serving.memory_budget import MemoryBudget
from app.serving.requests import Requests, run_incrementally
from app.serving.results import CaptionedPicture, ModelTiming, ServedClip, Timing
from model.captioning.clip import caption_clip

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL import Image

    from app.serving.worker import Admission
    from app.settings import Settings
    from model.captioning.caption import Caption
    from model.captioning.captioner import Captioner
    from model.captioning.scoring import CaptionStates
    from model.config import DecodingConfig

__all__ = ["CaptionRequests"]

Result = TypeVar("Result")

# Bytes that the processes for large pictures may take together, beside the service's own threads.
_LARGE_PICTURES_MEMORY = 640e6


class CaptionRequests(Requests):
    """Captions pictures and clips, and scores captions; see `Requests`."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._large_pictures = MemoryBudget(_LARGE_PICTURES_MEMORY)
        self._batcher = Batcher(
            self.worker, jobs.run_caption_jobs, settings.batch_size, self.metrics.batch_size.observe
        )

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
            async with self.deadline(self.settings.deadline):
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
            async with self.deadline(self.settings.deadline):
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
                captioned = await run_incrementally(admission, work)
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
            async with self.deadline(self.settings.deadline):
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
