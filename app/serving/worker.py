"""The inference thread, the preprocessing pool, and admission control.

All models run in one thread, in the order in which work is submitted. Long work is submitted one
time slice at a time, so that other requests run in between.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar, TypeVarTuple

from app.cores import usable_cores
from app.errors import Overloaded
from app.serving.metrics import Metrics

__all__ = ["Admission", "Worker"]

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")

# A GPU takes photographs as fast as many cores prepare them: 520 a second with 4 threads, 951 with
# 8 and 1,254 with 16 (docs/benchmarks.md).
_POOL_THREADS = min(16, usable_cores())

_MAX_RETRY_AFTER = 60.0  # seconds; a longer estimate would be a guess


class Worker:
    """Runs the models' work in one thread, and bounds the requests in flight.

    Args:
        queue_size: most requests in flight at once.
        metrics: where they and their waiting are counted.
    """

    def __init__(self, queue_size: int, metrics: Metrics | None = None) -> None:
        self.in_flight = 0
        self._metrics = metrics or Metrics()
        self._queue_size = queue_size
        self._mean_model_seconds = 0.1  # per request, a moving average
        self._inference = ThreadPoolExecutor(1, "inference")
        self._preprocessing = ThreadPoolExecutor(_POOL_THREADS, "preprocessing")

    @property
    def expected_wait(self) -> float:
        """The estimated seconds until the requests in flight are done."""
        return min(self.in_flight * self._mean_model_seconds, _MAX_RETRY_AFTER)

    def refuse_if_full(self) -> None:
        """Check that another request would be admitted.

        Raises:
            Overloaded: too many requests are in flight.
        """
        if self.in_flight >= self._queue_size:
            raise Overloaded(
                f"the service is full, with {self.in_flight} requests in flight: try again later",
                retry_after=self.expected_wait,
            )

    @contextmanager
    def admit(self) -> Iterator["Admission"]:
        """Admit a request, which counts as in flight inside the block.

        Raises:
            Overloaded: too many requests are in flight.
        """
        self.refuse_if_full()
        self.in_flight += 1
        self._metrics.in_flight.inc()
        admission = Admission(self)
        try:
            yield admission
        finally:
            self.in_flight -= 1
            self._metrics.in_flight.dec()
            self._metrics.queue_seconds.observe(admission.queue_seconds)
            if admission.model_seconds:
                change = admission.model_seconds - self._mean_model_seconds
                self._mean_model_seconds += 0.1 * change

    async def run(self, work: Callable[[*Arguments], Result], *arguments: *Arguments) -> Result:
        """Run work that needs a model. If cancelled before it starts, it never runs."""
        return await asyncio.get_running_loop().run_in_executor(self._inference, work, *arguments)

    async def run_in_pool(
        self, work: Callable[[*Arguments], Result], *arguments: *Arguments
    ) -> Result:
        """Run work that needs no model, in the preprocessing pool."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._preprocessing, work, *arguments)

    async def shut_down(self) -> None:
        """Finish the running work and drop the rest."""
        for pool in (self._inference, self._preprocessing):
            await asyncio.to_thread(pool.shutdown, cancel_futures=True)


class Admission:
    """An admitted request.

    Attributes:
        started: when it was admitted, by `time.perf_counter`.
        model_seconds: how long the models have worked on it.
        queue_seconds: how long it has waited for a thread or the models.
    """

    def __init__(self, worker: Worker) -> None:
        self.started = time.perf_counter()
        self.model_seconds = 0.0
        self.queue_seconds = 0.0
        self._worker = worker

    async def run(self, work: Callable[[*Arguments], Result], *arguments: *Arguments) -> Result:
        """Run work that needs a model; add its time to `model_seconds` and `queue_seconds`."""
        submitted = time.perf_counter()

        def timed() -> tuple[Result, float, float]:
            started = time.perf_counter()
            result = work(*arguments)
            return result, started, time.perf_counter()

        result, started, ended = await self._worker.run(timed)
        self.queue_seconds += started - submitted
        self.model_seconds += ended - started
        return result

    async def run_in_pool(
        self, work: Callable[[*Arguments], Result], *arguments: *Arguments
    ) -> Result:
        """Run work that needs no model, in the preprocessing pool."""
        return await self._worker.run_in_pool(work, *arguments)
