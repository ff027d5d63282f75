"""Check texts that pictures have already: which of them describe another picture?"""

from __future__ import annotations

import csv
import json
from contextlib import closing
from dataclasses import asdict, dataclass, fields
from itertools import islice
from typing import TYPE_CHECKING, Literal

import numpy as np

from app.bulk.files import BATCHES_AHEAD, MAX_THREADS, prepare_file
from app.bulk.formats import csv_line
from app.bulk.names import guard_formula
from app.bulk.prefetch import prefetch
from app.bulk.results import FailedFile
from app.cores import usable_cores
from model.captioning.matching import Evidence, Matcher, estimate_match
from model.files import write_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from model.preprocessing import Pixels

    _Prepared = Pixels | FailedFile | None

__all__ = ["AuditedText", "GivenText", "Verdict", "audit_texts", "read_texts", "write_audit"]

Verdict = Literal["fits", "does not fit", "not known", "empty", "failed"]

# Of a text with more words that the captioner does not know, it knows too little.
_MAX_UNKNOWN = 0.5

_MAX_FIELD = 1 << 20  # characters


@dataclass(frozen=True)
class GivenText:
    """A row of the table: a picture's path as written, where that is, and its text."""

    path: str
    picture: Path
    text: str


@dataclass(frozen=True)
class AuditedText:
    """A text and whether it fits its picture; `match` is the chance, see `estimate_match`."""

    path: str
    text: str
    verdict: Verdict
    match: float | None = None
    mean_logprob: float | None = None
    image_gain: float | None = None
    agreement: float | None = None
    error: str | None = None


def read_texts(
    table: Path, root: Path, *, path_column: str = "path", text_column: str = "alt"
) -> list[GivenText]:
    """Read a CSV file with a header; relative paths are below `root`.

    Raises:
        ValueError: it is not CSV in UTF-8, or lacks a column or has it twice.
        OSError: it cannot be read.
    """
    csv.field_size_limit(_MAX_FIELD)
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)  # or an open quote would hide the rest
            columns = reader.fieldnames or []
            for column in (path_column, text_column):
                if column not in columns:
                    raise ValueError(
                        f"{table} has no column {column!r}, only {', '.join(columns) or 'none'}: "
                        "name its columns with --path-column and --alt-column"
                    )
                if columns.count(column) > 1:
                    raise ValueError(
                        f"{table} has several columns {column!r}: give the others another name"
                    )
            return [
                GivenText(path, root / path, (row[text_column] or "").strip())
                for row in reader
                if (path := (row[path_column] or "").strip())
            ]
    except UnicodeDecodeError as error:
        raise ValueError(f"{table} is not UTF-8: save it as CSV in UTF-8") from error
    except csv.Error as error:
        raise ValueError(f"{table} is not CSV: {error}") from error


def audit_texts(
    matcher: Matcher,
    texts: Sequence[GivenText],
    *,
    threshold: float,
    batch_size: int,
    max_pixels: int,
) -> Iterator[AuditedText]:
    """Compare each text with its picture, in order; a bad picture does not stop the rest.

    Args:
        matcher: see `model.captioning.matching`.
        texts: rows of a table.
        threshold: the chance below which a text does not fit.
        batch_size: how many pictures to compare at once.
        max_pixels: as in `decode_picture`.
    """

    def prepare(given: GivenText) -> tuple[GivenText, _Prepared]:
        if not given.text:
            return given, None
        try:
            if not given.picture.is_file():
                return given, FailedFile(given.picture, "no such file")
        except OSError as error:  # such as a name that is too long
            return given, FailedFile(given.picture, error.strerror or str(error))
        return given, prepare_file(matcher.captioner, given.picture, max_pixels)

    ahead = prefetch(
        prepare,
        texts,
        threads=min(usable_cores(), MAX_THREADS),
        ahead=BATCHES_AHEAD * batch_size,
    )
    with closing(ahead):
        while batch := list(islice(ahead, batch_size)):
            yield from _compare(matcher, batch, threshold)


def _compare(
    matcher: Matcher, batch: Sequence[tuple[GivenText, _Prepared]], threshold: float
) -> Iterator[AuditedText]:
    pictures = [(given, each) for given, each in batch if isinstance(each, np.ndarray)]
    found: Iterator[list[Evidence]] = iter(())
    if pictures:
        grid = matcher.captioner.encode(np.concatenate([pixels for _, pixels in pictures]))
        found = iter(matcher.compare(grid, [[given.text] for given, _ in pictures]))
    for given, prepared in batch:
        if prepared is None:
            yield AuditedText(given.path, given.text, "empty")
        elif isinstance(prepared, FailedFile):
            yield AuditedText(given.path, given.text, "failed", error=prepared.reason)
        else:
            yield _judge(given, next(found)[0], threshold)


def _judge(given: GivenText, evidence: Evidence, threshold: float) -> AuditedText:
    match = estimate_match(evidence)
    verdict: Verdict = "fits" if match >= threshold else "does not fit"
    return AuditedText(
        given.path,
        given.text,
        "not known" if evidence.unknown > _MAX_UNKNOWN else verdict,
        match,
        evidence.mean_logprob,
        evidence.image_gain,
        evidence.agreement,
    )


def write_audit(path: Path, audited: Sequence[AuditedText]) -> None:
    """Write every text with its numbers, as .csv or .jsonl, whole or not at all.

    Raises:
        ValueError: the name has another suffix.
        OSError: the file cannot be written.
    """
    rows = [asdict(each) for each in audited]
    match path.suffix.lower():
        case ".jsonl":
            text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        case ".csv":
            columns = [each.name for each in fields(AuditedText)]
            text = csv_line(columns)
            for row in rows:
                # Both come from a table, and a spreadsheet might run them.
                row |= {name: guard_formula(str(row[name])) for name in ("path", "text")}
                text += csv_line([row[name] for name in columns])
        case _:
            raise ValueError("--output must end in .csv or .jsonl")
    write_text(path, text)
