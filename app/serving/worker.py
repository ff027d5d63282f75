"""One thread for all models, a few beside it for the rest, and who is let in.

Work is done in the order in which it is asked for. Whoever needs the models for long asks for a
little at a time, so that others get their turns in between. Knows nothing of what the work is.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar, TypeVarTuple

from app.cores import usable_cores
from app.errors import Overloaded

__all__ = ["Admission", "Worker"]

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")

_THREADS_BESIDE = min(4, usable_cores())

_LONGEST_RETRY = 60.0  # seconds: longer than that is a guess


class Worker:
    """The threads, and a bound on the requests that wait for them.

    Args:
        queue_size: how many requests are let in at once.
    """

    def __init__(self, queue_size: int) -> None:
        self.in_flight = 0
        self._queue_size = queue_size
        self._seconds = 0.1  # that the models take for a request, a moving average
        self._models = ThreadPoolExecutor(1, "inference")
        self._beside = ThreadPoolExecutor(_THREADS_BESIDE, "beside")

    @property
    def expected_wait(self) -> float:
        """How many seconds those in hand will take, as far as can be told."""
        return min(self.in_flight * self._seconds, _LONGEST_RETRY)

    def refuse_if_full(self) -> None:
        """Do nothing where a request would be let in.

        Raises:
            Overloaded: too many are in.
        """
        if self.in_flight >= self._queue_size:
            raise Overloaded(
                f"{self.in_flight} requests are in hand, and no more are taken: try again later",
                retry_after=self.expected_wait,
            )

    @contextmanager
    def admit(self) -> Iterator["Admission"]:
        """Let a request in, until it leaves the block.

        Raises:
            Overloaded: too many are in.
        """
        self.refuse_if_full()
        self.in_flight += 1
        admission = Admission(self)
        try:
            yield admission
        finally:
            self.in_flight -= 1
            if admission.worked:
                self._seconds += 0.1 * (admission.worked - self._seconds)

    async def run(self, work: Callable[[*Arguments], Result], *arguments: *Arguments) -> Result:
        """Do what needs a model. Cancelled before it has begun, it is not done."""
        return await asyncio.get_running_loop().run_in_executor(self._models, work, *arguments)

    async def run_in_pool(
        self, work: Callable[[*Arguments], Result], *arguments: *Arguments
    ) -> Result:
        """Do what needs no model."""
        return await asyncio.get_running_loop().run_in_executor(self._beside, work, *arguments)

    async def shut_down(self) -> None:
        """Let what is being done end, and drop what waits."""
        for threads in (self._models, self._beside):
            await asyncio.to_thread(threads.shutdown, cancel_futures=True)


class Admission:
    """A request that was let in; `worked` is how many seconds the models gave it."""

    def __init__(self, worker: Worker) -> None:
        self.began = time.perf_counter()
        self.worked = 0.0
        self._inference = worker

    async def run(self, work: Callable[[*Arguments], Result], *arguments: *Arguments) -> Result:
        """Do what needs a model, and note how long it took."""

        def timed() -> tuple[Result, float]:
            began = time.perf_counter()
            result = work(*arguments)
            return result, time.perf_counter() - began

        result, seconds = await self._inference.run(timed)
        self.worked += seconds
        return result

    async def run_in_pool(
        self, work: Callable[[*Arguments], Result], *arguments: *Arguments
    ) -> Result:
        """Do what needs no model."""
        return await self._inference.run_in_pool(work, *arguments)
