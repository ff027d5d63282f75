"""Format the results of files as text, JSON lines, CSV or table rows.

Every format but text has a row for a failed file too, with its path and the error alone.
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

from app.bulk.names import exact_text, guard_formula, shown_path
from app.bulk.results import CaptionedFile, FailedFile, FileResult

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from model.captioning.caption import Caption, Token

__all__ = [
    "CSV_COLUMNS",
    "METADATA",
    "LineFormat",
    "OptionalFields",
    "OutputFormat",
    "as_rows",
    "choose_format",
    "csv_line",
    "line_format",
    "make_printer",
]

CSV_COLUMNS = ("path", "rank", "caption", "logprob", "mean_logprob", "finished")


class OutputFormat(StrEnum):
    """The formats that `--format` accepts."""

    TEXT = "text"
    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"
    IMAGEFOLDER = "imagefolder"


# The name by which Hugging Face's `datasets` finds the captions of a folder.
METADATA = "metadata.jsonl"

_BY_SUFFIX = (OutputFormat.JSONL, OutputFormat.CSV, OutputFormat.PARQUET)
_NEED_OUTPUT = {
    OutputFormat.PARQUET: "Parquet cannot be written to standard output",
    OutputFormat.IMAGEFOLDER: f"a path that ends in {METADATA}",
}


@dataclass(frozen=True)
class OptionalFields:
    """Which optional fields captions have: a table needs its columns before its first row."""

    confidence: bool = False
    agreement: bool = False
    image_gain: bool = False
    alt_text: bool = False

    @property
    def names(self) -> list[str]:
        """The fields that are present, in column order."""
        return [name for name, present in asdict(self).items() if present]


@dataclass(frozen=True)
class LineFormat:
    """A line-based format: its header, and how a file's result is encoded, newlines included."""

    header: str
    encode: Callable[[FileResult], str]


def choose_format(requested: OutputFormat | None, output: Path | None) -> OutputFormat:
    """Return the requested format, or else the one that the output's suffix stands for.

    Raises:
        ValueError: the suffix stands for no format, or the format cannot be written there.
    """
    if output is None:
        if requested in _NEED_OUTPUT:
            raise ValueError(f"--format {requested} needs --output: {_NEED_OUTPUT[requested]}")
        return requested or OutputFormat.TEXT
    if requested is None and output.name == METADATA:
        return OutputFormat.IMAGEFOLDER
    if requested is OutputFormat.IMAGEFOLDER and output.name != METADATA:
        raise ValueError(f"--format imagefolder needs an --output that is called {METADATA}")
    by_suffix = {f".{each}": each for each in _BY_SUFFIX}
    chosen = requested or by_suffix.get(output.suffix.lower())
    if chosen is None or chosen is OutputFormat.TEXT:
        raise ValueError(
            f"--output must end in {', '.join(by_suffix)}, or --format must name one of these"
        )
    return chosen


def line_format(output_format: OutputFormat, optional_fields: OptionalFields) -> LineFormat:
    """Return the line format for JSONL or CSV.

    Raises:
        ValueError: the format is not line-based.
    """
    match output_format:
        case OutputFormat.JSONL:
            return LineFormat("", _json_line)
        case OutputFormat.CSV:
            columns = [*CSV_COLUMNS, *optional_fields.names, "error"]
            return LineFormat(csv_line(columns), lambda result: _csv_lines(columns, result))
        case _:
            raise ValueError(f"{output_format} is not a line-based format")


def make_printer(
    output_format: OutputFormat, optional_fields: OptionalFields
) -> Callable[[FileResult], None]:
    """Return a function that prints one file's result; for CSV, print the header now.

    As text, a failed file prints nothing: it is reported on standard error.
    """
    if output_format is OutputFormat.TEXT:
        console = Console(highlight=False, markup=False, emoji=False)
        return lambda result: _write_text(console, result)
    lines = line_format(output_format, optional_fields)
    if lines.header:
        _write(lines.header)
    return lambda result: _write(lines.encode(result))


def as_rows(result: FileResult) -> list[dict[str, object]]:
    """Return one row for each caption, with every column except the tokens; or one with an error.

    Columns that a row lacks are empty.
    """
    path = exact_text(result.path)
    if isinstance(result, FailedFile):
        return [{"path": path, "error": result.reason}]
    return [
        {
            "path": path,
            "rank": rank,
            "caption": caption.text,
            "logprob": caption.logprob,
            "mean_logprob": caption.mean_logprob,
            "finished": caption.finished,
            "confidence": caption.confidence,
            "agreement": caption.agreement,
            **({} if caption.alt_text is None else {"alt_text": caption.alt_text}),
        }
        for rank, caption in enumerate(result.captions, start=1)
    ]


def csv_line(values: Sequence[object]) -> str:
    """Format one line of CSV."""
    line = io.StringIO()
    # Before Python 3.11.9, only characters of the line terminator made a name be quoted.
    csv.writer(line, lineterminator="\r\n").writerow(values)
    return line.getvalue().removesuffix("\r\n") + "\n"


def _write_text(console: Console, result: FileResult) -> None:
    if isinstance(result, FailedFile):
        return
    console.print(Text(shown_path(result.path), style="bold"), soft_wrap=True)
    frames = result.frames if len(result.frames) > 1 else ()
    for frame in frames:
        when = f"page {frame.number + 1}" if frame.seconds is None else f"{frame.seconds:.2f} s"
        _write_captions(console, frame.captions, f"{when:>9}")
    _write_captions(console, result.captions, f"{'all':>9}" if frames else "")


def _write_captions(console: Console, captions: Sequence[Caption], what: str) -> None:
    for caption in captions:
        ellipsis = "" if caption.finished or caption.alt_text is not None else " ..."
        confidence = "" if caption.confidence is None else f"  {caption.confidence:4.0%}"
        text = caption.text if caption.alt_text is None else caption.alt_text
        line = Text.assemble(
            (what, "dim"),
            (f"{caption.logprob:9.3f}{confidence}", "cyan"),
            f"  {text or '(left empty)'}{ellipsis}",
        )
        console.print(line, soft_wrap=True)
        if gains := [f"{t.token} {t.image_gain:+.1f}" for t in _tokens_with_gain(caption)]:
            console.print(Text(f"{' ' * 11}{'  '.join(gains)}", style="dim"), soft_wrap=True)


def _json_line(result: FileResult) -> str:
    line: dict[str, object] = {"path": exact_text(result.path)}
    if isinstance(result, FailedFile):
        line |= {"captions": [], "error": result.reason}
    else:
        line["captions"] = _json_captions(result.captions)
        if result.frames:
            line["frames"] = [
                _without_none({"index": frame.number, "seconds": frame.seconds})
                | {"captions": _json_captions(frame.captions)}
                for frame in result.frames
            ]
    return json.dumps(line, ensure_ascii=False) + "\n"


def _json_captions(captions: Sequence[Caption]) -> list[dict[str, Any]]:
    found = [_without_none(asdict(caption)) for caption in captions]
    for caption in found:
        caption["tokens"] = [_without_none(token) for token in caption["tokens"]]
    return found


def _csv_lines(columns: Sequence[str], result: FileResult) -> str:
    rows = as_rows(result)
    if isinstance(result, CaptionedFile):
        for row, caption in zip(rows, result.captions, strict=True):
            row["finished"] = str(caption.finished).lower()
            row["image_gain"] = " ".join(
                f"{token.image_gain:.4f}" for token in _tokens_with_gain(caption)
            )
    for row in rows:
        # Its name comes from wherever the file does, and a spreadsheet might run it.
        row["path"] = guard_formula(str(row["path"]))
    return "".join(csv_line([row.get(name) for name in columns]) for row in rows)


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _tokens_with_gain(caption: Caption) -> list[Token]:
    return [token for token in caption.tokens if token.image_gain is not None]


def _without_none(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
