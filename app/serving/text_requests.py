"""Requests to language models: texts, scores and activations, one time slice at a time."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING, TypeVar

import structlog

from app.errors import Unavailable
from app.serving import jobs
from app.serving.requests import Requests, run_incrementally
from app.serving.results import GenerationChunk, ModelTiming

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from model.text.language_model import LanguageModel
    from model.text.request import GenerationRequest
    from model.text.scores import Activations, TextScore

__all__ = ["TextRequests"]

Result = TypeVar("Result")

_log = structlog.get_logger("app")


class TextRequests(Requests):
    """Generates, scores and looks into texts; see `Requests`."""

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
                    raise self.too_late(self.settings.text_deadline)
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
            async with self.deadline(self.settings.text_deadline):
                score = await run_incrementally(admission, language_model.score_incrementally(text))
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
            async with self.deadline(self.settings.text_deadline):
                activations = await run_incrementally(
                    admission, language_model.activations_incrementally(text, states=states)
                )
                selected = await admission.run_in_pool(select, activations)
        return selected, ModelTiming.of(admission)
