"""Who waits together is served together, and nobody pays for another."""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence

import pytest

from app.serving.batcher import Batcher, Pending
from app.serving.worker import Worker


class Doubler:
    """Doubles numbers once it is let; 13 breaks any batch that it is in."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.begun = threading.Event()
        self.batches: list[list[int]] = []
        self.seconds = 0.0  # that a batch takes

    def __call__(self, batch: Sequence[Pending[int, int]]) -> list[int | None]:
        self.begun.set()
        assert self.open.wait(30)
        time.sleep(self.seconds)
        items = [waiting.item for waiting in batch]
        self.batches.append(items)
        if 13 in items:
            raise ValueError("thirteen")
        return [None if waiting.cancelled else 2 * waiting.item for waiting in batch]


def run(size: int, scenario: Callable[..., object]) -> Doubler:
    """Play a scenario in which the first item is being done when it begins."""
    doubler = Doubler()

    async def play() -> None:
        worker = Worker(64)
        batches = Batcher(worker, doubler, size)
        first = asyncio.create_task(batches.submit(0))
        while not doubler.begun.is_set():
            await asyncio.sleep(0.001)
        await scenario(batches, doubler, worker)
        assert await first == 0
        await worker.shut_down()

    asyncio.run(play())
    return doubler


async def wait_for(batches: Batcher[int, int], items: Sequence[int]) -> list[asyncio.Task[int]]:
    tasks = [asyncio.create_task(batches.submit(item)) for item in items]
    await asyncio.sleep(0)
    return tasks


def test_what_waits_is_one_batch_of_the_size_at_most():
    async def scenario(batches, doubler, _):
        tasks = await wait_for(batches, range(1, 7))
        doubler.open.set()
        assert await asyncio.gather(*tasks) == [2, 4, 6, 8, 10, 12]

    assert run(4, scenario).batches == [[0], [1, 2, 3, 4], [5, 6]]


def test_who_has_gone_is_left_out():
    async def scenario(batches, doubler, _):
        tasks = await wait_for(batches, range(1, 6))
        for task in tasks[1:4]:
            task.cancel()
        await asyncio.sleep(0)
        doubler.open.set()
        assert await asyncio.gather(tasks[0], tasks[4]) == [2, 10]
        assert all(task.cancelled() for task in tasks[1:4])

    assert run(4, scenario).batches == [[0], [1, 5]]


def test_one_at_fault_harms_no_other():
    async def scenario(batches, doubler, _):
        tasks = await wait_for(batches, [1, 13, 3])
        doubler.open.set()
        good, bad, other = await asyncio.gather(*tasks, return_exceptions=True)
        assert (good, other) == (2, 6)
        assert isinstance(bad, ValueError)

    assert run(4, scenario).batches == [[0], [1, 13, 3], [1], [13], [3]]


def test_a_batch_has_its_turn_as_its_first_member_would_have():
    order: list[str] = []

    async def scenario(batches, doubler, worker):
        tasks = await wait_for(batches, [1])
        other = asyncio.create_task(worker.run(order.append, "other"))
        await asyncio.sleep(0)
        tasks += await wait_for(batches, [2])
        tasks[0].add_done_callback(lambda _: order.append("first"))
        doubler.open.set()
        await asyncio.gather(*tasks, other)

    doubler = run(4, scenario)
    assert doubler.batches == [[0], [1, 2]]
    assert sorted(order) == ["first", "other"]


def test_turns_do_not_pile_up_while_somebody_always_waits():
    turns: list[int] = []

    async def scenario(batches, doubler, worker):
        async def client(first: int) -> None:
            for item in range(first, first + 40):
                assert await batches.submit(item) == 2 * item
                turns.append(len(batches._jobs))
                if item % 3 == first % 3:
                    await asyncio.sleep(0.001)

        doubler.seconds = 0.002
        doubler.open.set()
        await asyncio.gather(*(client(100 * number) for number in range(1, 5)))

    run(4, scenario)
    assert max(turns) <= 2  # one that is being taken, one to come


def test_who_waits_when_the_thread_is_shut_down_does_not_wait_for_ever():
    async def scenario(batches, doubler, worker):
        tasks = await wait_for(batches, [1, 2])
        stopping = asyncio.create_task(worker.shut_down())
        await asyncio.sleep(0.05)
        doubler.open.set()
        await stopping
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(one, asyncio.CancelledError) for one in found)
        with pytest.raises(asyncio.CancelledError):
            await batches.submit(3)

    assert run(1, scenario).batches == [[0]]


@pytest.mark.parametrize("size", [1, 3])
def test_many_come_at_any_time(size):
    async def scenario(batches, doubler, _):
        doubler.open.set()
        found = []
        for start in range(14, 54, 10):
            tasks = [asyncio.create_task(batches.submit(start + i)) for i in range(10)]
            found += await asyncio.gather(*tasks)
        assert found == [2 * item for item in range(14, 54)]

    done = run(size, scenario).batches
    assert sorted(item for batch in done for item in batch) == [0, *range(14, 54)]
    assert max(map(len, done)) <= size
