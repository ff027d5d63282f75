"""Items that wait together run together, and one that fails harms no other."""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence

import pytest

from app.serving.batcher import Batcher
from app.serving.worker import Worker


class Doubler:
    """Doubles numbers once its gate is open; 13 fails any batch that it is in."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.started = threading.Event()
        self.batches: list[list[int]] = []
        self.seconds = 0.0  # per batch

    def __call__(
        self, items: Sequence[int], is_cancelled: Callable[[int], bool]
    ) -> list[int | None]:
        self.started.set()
        assert self.open.wait(30)
        time.sleep(self.seconds)
        self.batches.append(list(items))
        if 13 in items:
            raise ValueError("thirteen")
        return [None if is_cancelled(i) else 2 * item for i, item in enumerate(items)]


def run(size: int, scenario: Callable[..., object]) -> Doubler:
    """Run a scenario that starts while the first item is running."""
    doubler = Doubler()

    async def play() -> None:
        worker = Worker(64)
        batcher = Batcher(worker, doubler, size)
        first = asyncio.create_task(batcher.submit(0))
        while not doubler.started.is_set():
            await asyncio.sleep(0.001)
        await scenario(batcher, doubler, worker)
        assert await first == 0
        await worker.shut_down()

    asyncio.run(play())
    return doubler


async def submit_all(batcher: Batcher[int, int], items: Sequence[int]) -> list[asyncio.Task[int]]:
    tasks = [asyncio.create_task(batcher.submit(item)) for item in items]
    await asyncio.sleep(0)
    return tasks


def test_pending_items_form_one_batch_up_to_the_maximum_size():
    async def scenario(batcher, doubler, _):
        tasks = await submit_all(batcher, range(1, 7))
        doubler.open.set()
        assert await asyncio.gather(*tasks) == [2, 4, 6, 8, 10, 12]

    assert run(4, scenario).batches == [[0], [1, 2, 3, 4], [5, 6]]


def test_cancelled_items_are_left_out():
    async def scenario(batcher, doubler, _):
        tasks = await submit_all(batcher, range(1, 6))
        for task in tasks[1:4]:
            task.cancel()
        await asyncio.sleep(0)
        doubler.open.set()
        assert await asyncio.gather(tasks[0], tasks[4]) == [2, 10]
        assert all(task.cancelled() for task in tasks[1:4])

    assert run(4, scenario).batches == [[0], [1, 5]]


def test_one_bad_item_does_not_fail_the_others():
    async def scenario(batcher, doubler, _):
        tasks = await submit_all(batcher, [1, 13, 3])
        doubler.open.set()
        good, bad, other = await asyncio.gather(*tasks, return_exceptions=True)
        assert (good, other) == (2, 6)
        assert isinstance(bad, ValueError)

    assert run(4, scenario).batches == [[0], [1, 13, 3], [1], [13], [3]]


def test_a_batch_runs_where_its_first_item_was_queued():
    order: list[str] = []

    async def scenario(batcher, doubler, worker):
        tasks = await submit_all(batcher, [1])
        other = asyncio.create_task(worker.run(order.append, "other"))
        await asyncio.sleep(0)
        tasks += await submit_all(batcher, [2])
        tasks[0].add_done_callback(lambda _: order.append("first"))
        doubler.open.set()
        await asyncio.gather(*tasks, other)

    doubler = run(4, scenario)
    assert doubler.batches == [[0], [1, 2]]
    assert sorted(order) == ["first", "other"]


def test_scheduled_batches_do_not_accumulate_under_constant_load():
    scheduled: list[int] = []

    async def scenario(batcher, doubler, worker):
        async def client(first: int) -> None:
            for item in range(first, first + 40):
                assert await batcher.submit(item) == 2 * item
                scheduled.append(len(batcher._tasks))
                if item % 3 == first % 3:
                    await asyncio.sleep(0.001)

        doubler.seconds = 0.002
        doubler.open.set()
        await asyncio.gather(*(client(100 * number) for number in range(1, 5)))

    run(4, scenario)
    assert max(scheduled) <= 2  # one running, one to come


def test_shutting_down_cancels_pending_items():
    async def scenario(batcher, doubler, worker):
        tasks = await submit_all(batcher, [1, 2])
        stopping = asyncio.create_task(worker.shut_down())
        await asyncio.sleep(0.05)
        doubler.open.set()
        await stopping
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)
        with pytest.raises(asyncio.CancelledError):
            await batcher.submit(3)

    assert run(1, scenario).batches == [[0]]


@pytest.mark.parametrize("size", [1, 3])
def test_many_items_get_their_own_results(size):
    async def scenario(batcher, doubler, _):
        doubler.open.set()
        results = []
        for start in range(14, 54, 10):
            tasks = [asyncio.create_task(batcher.submit(start + i)) for i in range(10)]
            results += await asyncio.gather(*tasks)
        assert results == [2 * item for item in range(14, 54)]

    done = run(size, scenario).batches
    assert sorted(item for batch in done for item in batch) == [0, *range(14, 54)]
    assert max(map(len, done)) <= size
