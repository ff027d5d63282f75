"""Work done in threads on what comes next, while its user is busy with what came before.

Knows threads and order; does not know what the work is.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

__all__ = ["prefetch"]

Item = TypeVar("Item")
Result = TypeVar("Result")


def prefetch(
    work: Callable[[Item], Result], items: Iterable[Item], *, threads: int, ahead: int
) -> Generator[Result, None, None]:
    """Yield what the work gives for each item, in order.

    At most `ahead` items are taken whose results have not been asked for. Items are taken in the
    thread that asks. To close the generator waits for the work in hand, and for no other.
    """
    pool = ThreadPoolExecutor(threads, thread_name_prefix="look-ahead")
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) >= ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        # Python would do all that is submitted before it ends: Ctrl-C should not wait for that.
        pool.shutdown(cancel_futures=True)
