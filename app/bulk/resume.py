"""What an earlier run has written to a file of lines: of which pictures, and how far it is whole.

A process that is killed may leave its last line torn. Knows JSONL and CSV as `caption_formats`
writes them; does not know what is done about them.
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

__all__ = ["WrittenCaptions", "read_csv", "read_json_lines"]


@dataclass(frozen=True)
class WrittenCaptions:
    """How often each path is there, and how many bytes hold whole results."""

    paths: Counter[str]
    end: int


def read_json_lines(lines: Iterable[bytes]) -> WrittenCaptions:
    """Read what is whole of JSON lines.

    Raises:
        ValueError: a whole line is none of `unrolled caption`.
    """
    paths: Counter[str] = Counter()
    end = 0
    for number, line in enumerate(lines, start=1):
        if not line.endswith(b"\n"):
            break
        try:
            paths[json.loads(line)["path"]] += 1
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"line {number} holds no captions") from error
        end += len(line)
    return WrittenCaptions(paths, end)


def read_csv(lines: Iterable[bytes], header: str, num_captions: int) -> WrittenCaptions:
    """Read what is whole of a CSV file.

    A picture has a row for each caption, so that the last picture's rows may be whole and too
    few. Where they are fewer than `num_captions` they count as torn, though now and then a search
    finds no more: to caption one picture again costs little.

    Raises:
        ValueError: the columns are others, or a whole row is none of `unrolled caption`.
    """
    paths: Counter[str] = Counter()
    end = picture = 0  # where the rows end, and where those of the last picture begin
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
                raise ValueError(f"row {number} holds no caption") from error
            if rank == 1:
                paths[path] += 1
                picture = end
        end += len(record)
    if rank < num_captions:
        paths[path] -= 1
        end = picture
    return WrittenCaptions(+paths, end)


def _records(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Give the whole records; one whose path has an end of line in it takes several lines."""
    record = b""
    for line in lines:
        record += line
        # Quotes inside a quoted field are doubled: until it is closed, their number is odd.
        if record.endswith(b"\n") and record.count(b'"') % 2 == 0:
            yield record
            record = b""
