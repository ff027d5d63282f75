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
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import structlog

from app.errors import NotReady
from app.serving import registry
from app.serving.allocator import return_large_blocks
from app.serving.caption_requests import CaptionRequests
from app.serving.text_requests import TextRequests

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from app.settings import Settings

__all__ = ["Engine"]

_log = structlog.get_logger("app")


class Engine(CaptionRequests, TextRequests):
    """Loads the models in the background and runs requests on them.

    Args:
        settings: the weights, the device, and the limits on requests.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._failed = False
        self._stopping = False

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
