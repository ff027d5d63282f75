import threading
import time
from collections.abc import Iterator

import pytest

from app.bulk.prefetch import prefetch


def test_results_keep_the_order_of_the_items() -> None:
    def work(item: int) -> int:
        time.sleep(0.02 if item % 3 == 0 else 0)
        return item * 2

    found = prefetch(work, range(20), threads=4, ahead=5)
    assert list(found) == [item * 2 for item in range(20)]


def test_no_more_items_are_taken_than_ahead() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for item in range(100):
            taken.append(item)
            yield item

    for given, _ in enumerate(prefetch(lambda item: item, items(), threads=2, ahead=6)):
        assert len(taken) - given <= 6
    assert len(taken) == 100


def test_work_continues_while_a_result_is_used() -> None:
    begun = threading.Event()

    def work(item: int) -> int:
        if item == 1:
            begun.set()
        return item

    results = prefetch(work, range(3), threads=1, ahead=3)
    assert next(results) == 0
    assert begun.wait(10)
    results.close()


def test_closing_drops_items_not_yet_started() -> None:
    released, done = threading.Event(), []

    def work(item: int) -> int:
        if item:
            released.wait(10)
        done.append(item)
        return item

    results = prefetch(work, range(50), threads=1, ahead=40)
    assert next(results) == 0
    threading.Timer(0.2, released.set).start()
    results.close()
    assert len(done) <= 2
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("prefetch")]


def test_an_exception_is_raised_in_its_place() -> None:
    def work(item: int) -> float:
        return 1 / (2 - item)

    results = prefetch(work, range(5), threads=2, ahead=4)
    assert [next(results), next(results)] == [0.5, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)
