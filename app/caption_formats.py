"""Captions of files as text, JSON lines or CSV on standard output, each as soon as it is known.

Knows how results are shown; does not know how they come about.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from pathlib import Path

    from app.caption_files import Captioned

__all__ = ["CSV_COLUMNS", "OutputFormat", "make_writer", "printable"]

CSV_COLUMNS = ("path", "rank", "caption", "logprob", "mean_logprob", "finished")


class OutputFormat(StrEnum):
    """What `--format` takes."""

    TEXT = "text"
    JSONL = "jsonl"
    CSV = "csv"


def make_writer(output_format: OutputFormat) -> Callable[[Captioned], None]:
    """Give the function that writes one file's captions to standard output.

    CSV writes its header at once.
    """
    match output_format:
        case OutputFormat.TEXT:
            console = Console(highlight=False, markup=False, emoji=False)
            return lambda captioned: _write_text(console, captioned)
        case OutputFormat.JSONL:
            return _write_json
        case OutputFormat.CSV:
            rows = csv.writer(sys.stdout, lineterminator="\n")
            rows.writerow(CSV_COLUMNS)
            return lambda captioned: _write_rows(rows.writerow, captioned)


def printable(path: Path) -> str:
    """Write a path so that it can be printed, whatever bytes the file system holds."""
    return str(path).encode(errors="replace").decode()


def _write_text(console: Console, captioned: Captioned) -> None:
    console.print(Text(printable(captioned.path), style="bold"), soft_wrap=True)
    for caption in captioned.captions:
        cut = "" if caption.finished else " ..."
        line = Text.assemble((f"{caption.logprob:9.3f}", "cyan"), f"  {caption.text}{cut}")
        console.print(line, soft_wrap=True)


def _write_json(captioned: Captioned) -> None:
    captions = [asdict(caption) for caption in captioned.captions]
    for caption in captions:
        for token in caption["tokens"]:
            del token["attention"]
    line = {"path": printable(captioned.path), "captions": captions}
    sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def _write_rows(write_row: Callable[[list[object]], object], captioned: Captioned) -> None:
    path = printable(captioned.path)
    for rank, caption in enumerate(captioned.captions, start=1):
        scores = [caption.logprob, caption.mean_logprob, str(caption.finished).lower()]
        write_row([path, rank, caption.text, *scores])
    sys.stdout.flush()
