"""Bound the memory that work in flight takes together."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

__all__ = ["MemoryBudget"]


class MemoryBudget:
    """Lets work wait until there is room for it.

    Args:
        total: bytes; work that needs more runs alone.
    """

    def __init__(self, total: float) -> None:
        self._total = self._free = total
        self._released = asyncio.Event()

    @asynccontextmanager
    async def hold(self, amount: float) -> AsyncIterator[None]:
        """Wait until `amount` bytes are free, and take them inside the block."""
        amount = min(amount, self._total)
        while amount > self._free:
            self._released.clear()
            await self._released.wait()
        self._free -= amount
        try:
            yield
        finally:
            self._free += amount
            self._released.set()
