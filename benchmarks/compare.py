"""Compare measurements with those of an earlier report, and name what got slower.

A measurement has changed if the quartiles before and after do not overlap. A machine that is busy
changes everything alike: the ratio of all measurements together, by the median, tells.
"""

import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.report import Row, Sample, Table
from benchmarks.timing import quantile

__all__ = ["compare", "read_report"]

_Key = tuple[str, str, str]  # table, row, column

_OF_MACHINE = ("processor", "cores", "threads of the model")


class _Change(NamedTuple):
    key: _Key
    before: Sample
    now: Sample

    @property
    def ratio(self) -> float:
        """How many times as long it takes, or as much it needs, as before."""
        ratio = self.now.median / self.before.median
        return 1 / ratio if _is_rate(self.key) else ratio

    @property
    def beyond_spread(self) -> bool:
        """Whether the quartiles do not overlap."""
        (low, high), (low_now, high_now) = map(_quartiles, (self.before, self.now))
        return low_now > high or high_now < low


def read_report(path: Path) -> dict[str, Any]:
    """Read a report that `--json` wrote.

    Raises:
        ValueError: it is none; the message says what would be.
        OSError: it cannot be read.
    """
    try:
        report: dict[str, Any] = json.loads(path.read_text("utf-8"))
        _samples_of_report(report)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is no report of `python -m benchmarks --json`") from error
    return report


def compare(
    before: Mapping[str, Any], machine: Mapping[str, str], tables: Sequence[Table]
) -> Table:
    """Return a table of what has changed by more than its spread.

    Args:
        before: from `read_report`.
        machine, tables: of the measurements now.
    """
    old, new = _samples_of_report(before), dict(_samples(tables))
    both = [_Change(key, old[key], new[key]) for key in new if key in old]
    both = [change for change in both if change.before.median and change.now.median]
    changed = sorted((c for c in both if c.beyond_spread), key=lambda c: c.ratio, reverse=True)
    rows: list[Row] = [
        {
            "measurement": ", ".join(filter(None, change.key)),
            "before": change.before,
            "now": change.now,
            "times the cost": change.ratio,
            "": "slower" if change.ratio > 1 else "faster",
        }
        for change in changed
    ]
    notes = [
        f"{len(changed)} of {len(both)} measurements that both reports have changed by more than "
        "their spread: the quartiles do not overlap.",
    ]
    if both:
        ratio = statistics.median(change.ratio for change in both)
        notes.append(
            f"All together, by the median: {ratio:.2f} times the cost. Far from 1, the machine "
            "itself was busier or freer."
        )
    machine_before = before["machine"]
    notes += [
        f"Not the same machine: {name} was {machine_before.get(name, 'unknown')!r}, and is {now!r}."
        for name, now in machine.items()
        if name in _OF_MACHINE and machine_before.get(name) != now
    ]
    return Table("Compared with the earlier report", rows, notes)


def _is_rate(key: _Key) -> bool:
    """Whether more is faster."""
    return any("per second" in part for part in (key[0].lower(), key[2]))


def _quartiles(sample: Sample) -> tuple[float, float]:
    values = [*sample.values]
    return quantile(values, 0.25), quantile(values, 0.75)


def _samples(tables: Sequence[Table]) -> Iterator[tuple[_Key, Sample]]:
    for table in tables:
        for row in table.rows:
            samples = {name: cell for name, cell in row.items() if isinstance(cell, Sample)}
            for name, sample in samples.items():
                if not name.startswith("times "):  # a ratio of two that are there
                    yield (table.title, _name_of_row(row), name), sample


def _samples_of_report(report: Mapping[str, Any]) -> dict[_Key, Sample]:
    dict(report["machine"])
    tables = [
        Table(
            table["title"],
            [
                {
                    name: Sample(tuple(cell["values"])) if isinstance(cell, dict) else cell
                    for name, cell in row.items()
                }
                for row in table["rows"]
            ],
        )
        for table in report["tables"]
    ]
    return dict(_samples(tables))


def _name_of_row(row: Row) -> str:
    """Return what tells a row from the others: its text and whole numbers."""
    return ", ".join(
        value if isinstance(value, str) else f"{name} {value}"
        for name, value in row.items()
        if isinstance(value, str | int)
    )
