"""Find out which pictures an earlier run captioned, which failed, and where complete lines end.

A killed process may leave a torn last line, in JSONL and CSV as `app.bulk.formats` writes them.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.bulk.names import unguard_formula
from model.files import atomic_write

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

__all__ = ["CompleteResults", "drop_failed", "read_csv", "read_json_lines"]

_CHUNK = 1 << 20


@dataclass(frozen=True)
class CompleteResults:
    """How often each path has complete captions, and how many bytes all complete results take.

    `failed` are the places of the rows of failed files: where each begins and ends.
    """

    paths: Counter[str]
    size: int
    failed: tuple[tuple[int, int], ...] = ()


def drop_failed(path: Path, results: CompleteResults) -> None:
    """Rewrite a file without the rows of failed files, which a resumed run tries again.

    Raises:
        OSError: the file cannot be rewritten; it is untouched.
    """
    path = path.resolve()  # a link stays a link
    with path.open("rb") as old, atomic_write(path) as temporary, temporary.open("wb") as new:
        for begin, end in (*results.failed, (results.size, results.size)):
            while chunk := old.read(min(_CHUNK, begin - old.tell())):
                new.write(chunk)
            old.seek(end)


def read_json_lines(lines: Iterable[bytes], name: str = "path") -> CompleteResults:
    """Read the complete lines of a JSONL file, whose field `name` names the picture.

    Raises:
        ValueError: a complete line was not written by `unrolled caption`.
    """
    paths: Counter[str] = Counter()
    failed: list[tuple[int, int]] = []
    end = 0
    for number, line in enumerate(lines, start=1):
        if not line.endswith(b"\n"):
            break
        begin, end = end, end + len(line)
        try:
            result = json.loads(line)
            if "error" in result:
                failed.append((begin, end))
            else:
                paths[result[name]] += 1
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"line {number} has no captions") from error
    return CompleteResults(paths, end, tuple(failed))


def read_csv(lines: Iterable[bytes], header: str, num_captions: int) -> CompleteResults:
    """Read the complete rows of a CSV file.

    A picture has a row for each caption, so the last picture may lack some. With fewer than
    `num_captions` rows it counts as incomplete, although a search sometimes finds no more:
    captioning one picture again costs little.

    Raises:
        ValueError: the columns differ, or a complete row was not written by `unrolled caption`.
    """
    paths: Counter[str] = Counter()
    failed: list[tuple[int, int]] = []
    end = picture = 0  # where the complete rows end, and where the last picture's begin
    path, rank = "", num_captions
    for number, record in enumerate(_records(lines), start=1):
        begin, end = end, end + len(record)
        if number == 1:
            if record != header.encode():
                raise ValueError(f"its columns are not {header.strip()}")
            continue
        try:
            path, place, *_, error = next(csv.reader(io.StringIO(record.decode(), newline="")))
            rank = num_captions if error else int(place)
        except ValueError as fault:
            raise ValueError(f"row {number} has no caption") from fault
        if error:
            failed.append((begin, end))
        elif rank == 1:
            paths[unguard_formula(path)] += 1
            picture = begin
    if rank < num_captions:
        paths[unguard_formula(path)] -= 1
        end = picture
    return CompleteResults(+paths, end, tuple(failed))


def _records(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the complete records; one whose path contains a newline spans several lines."""
    record = b""
    for line in lines:
        record += line
        # Quotes inside a quoted field are doubled: an odd number means that the field is open.
        if record.endswith(b"\n") and record.count(b'"') % 2 == 0:
            yield record
            record = b""
