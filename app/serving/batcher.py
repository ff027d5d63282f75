"""Dynamic batching.

Everything that is pending when the inference thread becomes free is one batch. Nothing waits for a
batch to fill, and the busier the models are, the larger the batches become.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from app.serving.worker import Worker

__all__ = ["Batcher"]

Item = TypeVar("Item")
Result = TypeVar("Result")


class _Pending(Generic[Item, Result]):
    """A submitted item and the future of its result."""

    def __init__(self, item: Item) -> None:
        self.item = item
        self.future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()

    @property
    def cancelled(self) -> bool:
        """Whether the submitter has stopped waiting; may be read from any thread."""
        return self.future.done()


_Outcome = tuple[_Pending[Item, Result], Result | Exception]


class Batcher(Generic[Item, Result]):
    """Collects items and runs them in batches in the inference thread.

    Args:
        worker: whose inference thread runs the batches.
        run_batch: runs a batch. It gets the items and a function that returns whether the item at
            an index has been cancelled meanwhile (callable from any thread), and returns one
            result per item, in order; None for items it skipped because they were cancelled.
        max_size: most items in a batch.
        on_batch: is told the size of each batch, in the inference thread.
    """

    def __init__(
        self,
        worker: Worker,
        run_batch: Callable[[Sequence[Item], Callable[[int], bool]], Sequence[Result | None]],
        max_size: int,
        on_batch: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._worker = worker
        self._run_batch = run_batch
        self._max_size = max_size
        self._on_batch = on_batch
        self._queue: deque[_Pending[Item, Result]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._scheduled = False  # whether a batch is scheduled that has not started yet

    async def submit(self, item: Item) -> Result:
        """Run an item in the next batch. If cancelled, it is left out.

        Raises:
            Exception: whatever `run_batch` raised for this item alone.
        """
        pending: _Pending[Item, Result] = _Pending(item)
        self._queue.append(pending)
        self._schedule()
        try:
            return await pending.future
        finally:
            pending.future.cancel()

    def _schedule(self) -> None:
        """Schedule a batch, unless one is scheduled already, which will include all pending items.

        Scheduling one per item would queue more batches than there is work for: under constant
        load the superfluous ones would accumulate and delay all other work.
        """
        if not self._scheduled:
            self._scheduled = True
            task = asyncio.create_task(self._run())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _run(self) -> None:
        try:
            outcomes = await self._worker.run(self._run_next_batch)
        except (asyncio.CancelledError, RuntimeError):  # the inference thread is shut down
            self._scheduled = False
            while self._queue:
                self._queue.popleft().future.cancel()
            return
        if self._queue:  # more items than fit in one batch
            self._schedule()
        for pending, outcome in outcomes:
            if pending.cancelled:
                continue
            if isinstance(outcome, Exception):
                pending.future.set_exception(outcome)
            else:
                pending.future.set_result(outcome)

    def _run_next_batch(self) -> list[_Outcome[Item, Result]]:
        """Run the pending items, in the inference thread."""
        # Before the queue is read, so that an item submitted meanwhile schedules another batch.
        self._scheduled = False
        batch: list[_Pending[Item, Result]] = []
        while self._queue and len(batch) < self._max_size:
            if not (pending := self._queue.popleft()).cancelled:
                batch.append(pending)
        if not batch:
            return []
        self._on_batch(len(batch))
        return self._run_items(batch)

    def _run_items(self, batch: list[_Pending[Item, Result]]) -> list[_Outcome[Item, Result]]:
        try:
            results = self._run_batch(
                [pending.item for pending in batch], lambda index: batch[index].cancelled
            )
        except Exception as error:
            if len(batch) == 1:
                return [(batch[0], error)]
            # One item is at fault: run them one by one, so that the others still get results.
            return [outcome for pending in batch for outcome in self._run_items([pending])]
        return [
            (pending, result)
            for pending, result in zip(batch, results, strict=True)
            if result is not None
        ]
