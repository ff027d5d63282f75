"""Work that comes one by one and is done together.

Whatever waits when the models are free is one batch: nobody waits for others to come, and the
busier the models, the larger the batches. Knows the inference thread; does not know what the work
is.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from app.serving.worker import Worker

__all__ = ["Batcher", "Pending"]

Item = TypeVar("Item")
Result = TypeVar("Result")


class Pending(Generic[Item, Result]):
    """Somebody's item, and whether they still wait for what comes of it."""

    def __init__(self, item: Item) -> None:
        self.item = item
        self.result: asyncio.Future[Result] = asyncio.get_running_loop().create_future()

    @property
    def cancelled(self) -> bool:
        """Whether nobody waits any more; may be asked from any thread."""
        return self.result.done()


Outcome = tuple[Pending[Item, Result], Result | Exception]


class Batcher(Generic[Item, Result]):
    """Gathers items, and has them done in the inference thread.

    Args:
        inference: whose thread.
        work: does a batch; it gives one result for each, in order, and may leave out (None) those
            who have gone meanwhile.
        size: items in a batch at most.
    """

    def __init__(
        self,
        worker: Worker,
        work: Callable[[Sequence[Pending[Item, Result]]], Sequence[Result | None]],
        size: int,
    ) -> None:
        self._inference = worker
        self._work = work
        self._size = size
        self._waiting: deque[Pending[Item, Result]] = deque()
        self._jobs: set[asyncio.Task[None]] = set()
        self._asked = False  # for a turn that has not come yet

    async def submit(self, item: Item) -> Result:
        """Do an item with those that wait beside it. Cancelled, it is left out.

        Raises:
            Exception: whatever the work raised for this item alone.
        """
        waiting: Pending[Item, Result] = Pending(item)
        self._waiting.append(waiting)
        self._ask()
        try:
            return await waiting.result
        finally:
            waiting.result.cancel()

    def _ask(self) -> None:
        """Ask for a turn, unless one is still to come, which takes whoever waits by then.

        One for each that comes would be more turns than there are batches: while there is always
        somebody waiting, those that are left over would grow in number, and all other work would
        have to wait for them.
        """
        if not self._asked:
            self._asked = True
            job = asyncio.create_task(self._run())
            self._jobs.add(job)
            job.add_done_callback(self._jobs.discard)

    async def _run(self) -> None:
        try:
            outcomes = await self._inference.run(self._do_batch)
        except (asyncio.CancelledError, RuntimeError):  # the thread has been, or is, shut down
            self._asked = False
            while self._waiting:
                self._waiting.popleft().result.cancel()
            return
        if self._waiting:  # more than one batch
            self._ask()
        for waiting, outcome in outcomes:
            if waiting.cancelled:
                continue
            if isinstance(outcome, Exception):
                waiting.result.set_exception(outcome)
            else:
                waiting.result.set_result(outcome)

    def _do_batch(self) -> list[Outcome[Item, Result]]:
        """Do what waits now, in the inference thread."""
        self._asked = False  # before anybody is taken, so that nobody who comes is left behind
        batch: list[Pending[Item, Result]] = []
        while self._waiting and len(batch) < self._size:
            if not (waiting := self._waiting.popleft()).cancelled:
                batch.append(waiting)
        return self._do(batch) if batch else []

    def _do(self, batch: list[Pending[Item, Result]]) -> list[Outcome[Item, Result]]:
        try:
            results = self._work(batch)
        except Exception as error:
            if len(batch) == 1:
                return [(batch[0], error)]
            # One of them is at fault, and the others should not pay for it.
            return [outcome for one in batch for outcome in self._do([one])]
        return [
            (waiting, result)
            for waiting, result in zip(batch, results, strict=True)
            if result is not None
        ]
