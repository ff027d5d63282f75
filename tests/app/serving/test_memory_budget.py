import asyncio

import pytest

from app.serving.memory_budget import MemoryBudget


def test_work_waits_until_there_is_room() -> None:
    events: list[str] = []

    async def work(budget: MemoryBudget, name: str, amount: float, done: asyncio.Event) -> None:
        async with budget.hold(amount):
            events.append(f"{name} starts")
            await done.wait()
        events.append(f"{name} ends")

    async def main() -> None:
        budget = MemoryBudget(100)
        done = [asyncio.Event() for _ in range(3)]
        jobs = [
            asyncio.create_task(work(budget, name, amount, one))
            for name, amount, one in zip("abc", (60, 30, 500), done, strict=True)
        ]
        await asyncio.sleep(0)
        assert events == ["a starts", "b starts"]
        done[0].set()
        await jobs[0]
        assert "c starts" not in events  # more than all of it: alone
        done[1].set()
        done[2].set()
        await asyncio.gather(*jobs)

    asyncio.run(main())
    assert events[-2:] == ["c starts", "c ends"]


def test_cancelled_work_gives_its_room_back() -> None:
    async def main() -> None:
        budget = MemoryBudget(100)
        async with budget.hold(100):
            waiting = asyncio.create_task(_hold(budget))
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        await asyncio.wait_for(_hold(budget), 10)

    async def _hold(budget: MemoryBudget) -> None:
        async with budget.hold(100):
            pass

    asyncio.run(main())
