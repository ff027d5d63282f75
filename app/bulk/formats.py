"""Format the captions of files as text, JSON lines, CSV or table rows."""

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

    from app.bulk.files import CaptionedFile
    from model.captioning.caption import Caption, Token

__all__ = [
    "CSV_COLUMNS",
    "LineFormat",
    "OptionalFields",
    "OutputFormat",
    "as_rows",
    "csv_line",
    "line_format",
    "make_printer",
    "printable_path",
]

CSV_COLUMNS = ("path", "rank", "caption", "logprob", "mean_logprob", "finished")


class OutputFormat(StrEnum):
    """The formats that `--format` accepts."""

    TEXT = "text"
    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"


@dataclass(frozen=True)
class OptionalFields:
    """Which optional fields captions have: a table needs its columns before its first row."""

    confidence: bool = False
    agreement: bool = False
    image_gain: bool = False

    @property
    def names(self) -> list[str]:
        """The fields that are present, in column order."""
        return [name for name, present in asdict(self).items() if present]


@dataclass(frozen=True)
class LineFormat:
    """A line-based format: its header, and how a file's captions are encoded, newlines included."""

    header: str
    encode: Callable[[CaptionedFile], str]


def line_format(output_format: OutputFormat, optional_fields: OptionalFields) -> LineFormat:
    """Return the line format for JSONL or CSV.

    Raises:
        ValueError: the format is not line-based.
    """
    match output_format:
        case OutputFormat.JSONL:
            return LineFormat("", _json_line)
        case OutputFormat.CSV:
            columns = [*CSV_COLUMNS, *optional_fields.names]
            return LineFormat(csv_line(columns), lambda captioned: _csv_lines(columns, captioned))
        case _:
            raise ValueError(f"{output_format} is not a line-based format")


def make_printer(
    output_format: OutputFormat, optional_fields: OptionalFields
) -> Callable[[CaptionedFile], None]:
    """Return a function that prints one file's captions; for CSV, print the header now."""
    if output_format is OutputFormat.TEXT:
        console = Console(highlight=False, markup=False, emoji=False)
        return lambda captioned: _write_text(console, captioned)
    lines = line_format(output_format, optional_fields)
    if lines.header:
        _write(lines.header)
    return lambda captioned: _write(lines.encode(captioned))


def as_rows(captioned: CaptionedFile) -> list[dict[str, object]]:
    """Return one row for each caption, with every column except the tokens."""
    return [
        {
            "path": printable_path(captioned.path),
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
    """Format one line of CSV."""
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(values)
    return line.getvalue()


def printable_path(path: Path) -> str:
    """Make a path printable, whatever bytes its name contains."""
    return str(path).encode(errors="replace").decode()


def _write_text(console: Console, captioned: CaptionedFile) -> None:
    console.print(Text(printable_path(captioned.path), style="bold"), soft_wrap=True)
    for caption in captioned.captions:
        ellipsis = "" if caption.finished else " ..."
        confidence = "" if caption.confidence is None else f"  {caption.confidence:4.0%}"
        line = Text.assemble(
            (f"{caption.logprob:9.3f}{confidence}", "cyan"), f"  {caption.text}{ellipsis}"
        )
        console.print(line, soft_wrap=True)
        if gains := [f"{t.token} {t.image_gain:+.1f}" for t in _tokens_with_gain(caption)]:
            console.print(Text(f"{' ' * 11}{'  '.join(gains)}", style="dim"), soft_wrap=True)


def _json_line(captioned: CaptionedFile) -> str:
    captions = [_without_none(asdict(caption)) for caption in captioned.captions]
    for caption in captions:
        caption["tokens"] = [_without_none(token) for token in caption["tokens"]]
    line = {"path": printable_path(captioned.path), "captions": captions}
    return json.dumps(line, ensure_ascii=False) + "\n"


def _csv_lines(columns: Sequence[str], captioned: CaptionedFile) -> str:
    lines = []
    for row, caption in zip(as_rows(captioned), captioned.captions, strict=True):
        row["finished"] = str(caption.finished).lower()
        row["image_gain"] = " ".join(
            f"{token.image_gain:.4f}" for token in _tokens_with_gain(caption)
        )
        lines.append(csv_line([row[name] for name in columns]))
    return "".join(lines)


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _tokens_with_gain(caption: Caption) -> list[Token]:
    return [token for token in caption.tokens if token.image_gain is not None]


def _without_none(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
