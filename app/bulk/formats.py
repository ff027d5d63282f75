"""Captions of files as text, JSON lines, CSV or rows of a table.

Knows how results are shown; does not know how they come about, nor where they are kept.
"""

from __future__ import annotations

import csv
import io
import json
import sys
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from app.bulk.files import Captioned
    from model.captioning.caption import Caption, Token

__all__ = [
    "CSV_COLUMNS",
    "Extras",
    "Lines",
    "OutputFormat",
    "as_rows",
    "csv_line",
    "lines_of",
    "make_writer",
    "printable",
]

CSV_COLUMNS = ("path", "rank", "caption", "logprob", "mean_logprob", "finished")


class OutputFormat(StrEnum):
    """What `--format` takes."""

    TEXT = "text"
    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"


@dataclass(frozen=True)
class Extras:
    """What captions have that not all have; a table's columns are known before its rows."""

    confidence: bool = False
    agreement: bool = False
    image_gain: bool = False

    @property
    def names(self) -> list[str]:
        """Those that there are, in the order of columns."""
        return [name for name, there in asdict(self).items() if there]


@dataclass(frozen=True)
class Lines:
    """A format of lines: what comes first, and a file's captions, with their ends of line."""

    header: str
    encode: Callable[[Captioned], str]


def lines_of(output_format: OutputFormat, extras: Extras) -> Lines:
    """Give a format of lines, which JSONL and CSV are.

    Raises:
        ValueError: the format is another.
    """
    match output_format:
        case OutputFormat.JSONL:
            return Lines("", _json_line)
        case OutputFormat.CSV:
            columns = [*CSV_COLUMNS, *extras.names]
            return Lines(csv_line(columns), lambda captioned: _csv_lines(columns, captioned))
        case _:
            raise ValueError(f"{output_format} is no format of lines")


def make_writer(output_format: OutputFormat, extras: Extras) -> Callable[[Captioned], None]:
    """Give the function that writes one file's captions to standard output; CSV begins at once."""
    if output_format is OutputFormat.TEXT:
        console = Console(highlight=False, markup=False, emoji=False)
        return lambda captioned: _write_text(console, captioned)
    lines = lines_of(output_format, extras)
    if lines.header:
        _write(lines.header)
    return lambda captioned: _write(lines.encode(captioned))


def as_rows(captioned: Captioned) -> list[dict[str, object]]:
    """Give one row for each caption, with all the columns that there can be but the tokens'."""
    return [
        {
            "path": printable(captioned.path),
            "rank": rank,
            "caption": caption.text,
            "logprob": caption.logprob,
            "mean_logprob": caption.mean_logprob,
            "finished": caption.finished,
            "confidence": caption.confidence,
            "agreement": caption.agreement,
        }
        for rank, caption in enumerate(captioned.captions, start=1)
    ]


def csv_line(values: Sequence[object]) -> str:
    """Write one line of CSV."""
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(values)
    return line.getvalue()


def printable(path: Path) -> str:
    """Write a path so that it can be printed, whatever bytes the file system holds."""
    return str(path).encode(errors="replace").decode()


def _write_text(console: Console, captioned: Captioned) -> None:
    console.print(Text(printable(captioned.path), style="bold"), soft_wrap=True)
    for caption in captioned.captions:
        cut = "" if caption.finished else " ..."
        sure = "" if caption.confidence is None else f"  {caption.confidence:4.0%}"
        line = Text.assemble((f"{caption.logprob:9.3f}{sure}", "cyan"), f"  {caption.text}{cut}")
        console.print(line, soft_wrap=True)
        if grounds := [f"{t.token} {t.image_gain:+.1f}" for t in _grounded(caption)]:
            console.print(Text(f"{' ' * 11}{'  '.join(grounds)}", style="dim"), soft_wrap=True)


def _json_line(captioned: Captioned) -> str:
    captions = [_without_none(asdict(caption)) for caption in captioned.captions]
    for caption in captions:
        caption["tokens"] = [_without_none(token) for token in caption["tokens"]]
    line = {"path": printable(captioned.path), "captions": captions}
    return json.dumps(line, ensure_ascii=False) + "\n"


def _csv_lines(columns: Sequence[str], captioned: Captioned) -> str:
    lines = []
    for row, caption in zip(as_rows(captioned), captioned.captions, strict=True):
        row["finished"] = str(caption.finished).lower()
        row["image_gain"] = " ".join(f"{token.image_gain:.4f}" for token in _grounded(caption))
        lines.append(csv_line([row[name] for name in columns]))
    return "".join(lines)


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _grounded(caption: Caption) -> list[Token]:
    return [token for token in caption.tokens if token.image_gain is not None]


def _without_none(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
