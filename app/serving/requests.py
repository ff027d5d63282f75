"""What requests for captions and for texts share: the models, the worker and the deadline."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

from app.errors import DeadlineExceeded, NotReady
from app.serving import jobs
from app.serving.metrics import Metrics
from app.serving.worker import Admission, Worker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from app.serving.registry import ModelRegistry
    from app.settings import Settings
    from model.text.prefill import Incremental

__all__ = ["Requests", "run_incrementally"]

Result = TypeVar("Result")


class Requests:
    """Runs requests on models once they are loaded.

    Args:
        settings: the limits on requests.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.worker = Worker(settings.queue_size, self.metrics)
        self._models: ModelRegistry | None = None

    @property
    def models(self) -> ModelRegistry:
        """The models, once they are loaded and warm.

        Raises:
            NotReady: they are still loading.
        """
        if self._models is None:
            raise NotReady("the models are still loading: try again in a moment")
        return self._models

    @asynccontextmanager
    async def deadline(self, seconds: float) -> AsyncIterator[None]:
        """Cancel the block after so many seconds, with `DeadlineExceeded`."""
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError as error:
            raise self.too_late(seconds) from error

    def too_late(self, seconds: float) -> DeadlineExceeded:
        """Return the error of an answer that was not ready in so many seconds."""
        return DeadlineExceeded(
            f"the answer was not ready in {seconds:g} seconds: try again later",
            retry_after=self.worker.expected_wait,
        )


async def run_incrementally(admission: Admission, work: Incremental[Result]) -> Result:
    """Run work one time slice at a time, so that other requests run in between."""
    while True:
        if finished := await admission.run(jobs.advance, work):
            return finished[0]
