"""Find out which pictures an earlier run captioned, and where its complete lines end.

A killed process may leave a torn last line, in JSONL and CSV as `app.bulk.formats` writes them.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["CompleteResults", "read_csv", "read_json_lines"]


@dataclass(frozen=True)
class CompleteResults:
    """How often each path has complete results, and how many bytes these take."""

    paths: Counter[str]
    size: int


def read_json_lines(lines: Iterable[bytes]) -> CompleteResults:
    """Read the complete lines of a JSONL file.

    Raises:
        ValueError: a complete line was not written by `unrolled caption`.
    """
    paths: Counter[str] = Counter()
    end = 0
    for number, line in enumerate(lines, start=1):
        if not line.endswith(b"\n"):
            break
        try:
            paths[json.loads(line)["path"]] += 1
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"line {number} has no captions") from error
        end += len(line)
    return CompleteResults(paths, end)


def read_csv(lines: Iterable[bytes], header: str, num_captions: int) -> CompleteResults:
    """Read the complete rows of a CSV file.

    A picture has a row for each caption, so the last picture may lack some. With fewer than
    `num_captions` rows it counts as incomplete, although a search sometimes finds no more:
    captioning one picture again costs little.

    Raises:
        ValueError: the columns differ, or a complete row was not written by `unrolled caption`.
    """
    paths: Counter[str] = Counter()
    end = picture = 0  # where the complete rows end, and where the last picture's begin
    path, rank = "", num_captions
    for number, record in enumerate(_records(lines), start=1):
        if number == 1:
            if record != header.encode():
                raise ValueError(f"its columns are not {header.strip()}")
        else:
            try:
                path, place, *_ = next(csv.reader(io.StringIO(record.decode(), newline="")))
                rank = int(place)
            except ValueError as error:
                raise ValueError(f"row {number} has no caption") from error
            if rank == 1:
                paths[path] += 1
                picture = end
        end += len(record)
    if rank < num_captions:
        paths[path] -= 1
        end = picture
    return CompleteResults(+paths, end)


def _records(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the complete records; one whose path contains a newline spans several lines."""
    record = b""
    for line in lines:
        record += line
        # Quotes inside a quoted field are doubled: an odd number means that the field is open.
        if record.endswith(b"\n") and record.count(b'"') % 2 == 0:
            yield record
            record = b""
