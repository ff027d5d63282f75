"""Measure variants in turn, so that the machine's drift hits all of them alike.

Knows only calls and numbers; does not know what is measured, judges no number, and cannot tell a
busy machine from a slow one: the spread is there to show it.
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
    """Call every variant once a round, and return each one's results, a round each.

    The order turns by one place a round, so that no variant always follows the same other one.
    What the `warmups` rounds before return is dropped.
    """
    results: dict[str, list[Result]] = {name: [] for name in variants}
    names = list(variants)
    for number in range(warmups + rounds):
        admission = number % max(1, len(names))
        for name in names[admission:] + names[:admission]:
            result = variants[name]()
            if number >= warmups:
                results[name].append(result)
    return results


def seconds(call: Callable[[], object]) -> Callable[[], float]:
    """Make a call that returns how many seconds it took."""

    def timed() -> float:
        began = time.perf_counter()
        call()
        return time.perf_counter() - began

    return timed


def quantile(values: list[float], share: float) -> float:
    """Give the value below which a share (a whole per cent) of the values lies, interpolated."""
    if len(values) == 1:
        return values[0]
    return statistics.quantiles(values, n=100, method="inclusive")[round(share * 100) - 1]
