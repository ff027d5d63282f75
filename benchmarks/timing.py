"""Measure variants in turn, so that the machine's drift affects all of them alike.

A busy machine cannot be told from a slow one; the spread of the results shows it.
"""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

__all__ = ["interleave", "quantile", "seconds"]

Result = TypeVar("Result")


def interleave(
    variants: Mapping[str, Callable[[], Result]], *, rounds: int, warmups: int
) -> dict[str, list[Result]]:
    """Call every variant once a round and return the results of each, one a round.

    The order rotates by one place each round, so that no variant always follows the same other.
    The results of the first `warmups` rounds are dropped.
    """
    results: dict[str, list[Result]] = {name: [] for name in variants}
    names = list(variants)
    for number in range(warmups + rounds):
        offset = number % max(1, len(names))
        for name in names[offset:] + names[:offset]:
            result = variants[name]()
            if number >= warmups:
                results[name].append(result)
    return results


def seconds(call: Callable[[], object]) -> Callable[[], float]:
    """Return a call that returns the seconds that `call` took."""

    def timed() -> float:
        started = time.perf_counter()
        call()
        return time.perf_counter() - started

    return timed


def quantile(values: list[float], share: float) -> float:
    """Return the interpolated quantile at `share`, a whole per cent."""
    if len(values) == 1:
        return values[0]
    return statistics.quantiles(values, n=100, method="inclusive")[round(share * 100) - 1]
