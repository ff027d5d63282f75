"""Captions of files as text, JSON lines or CSV on standard output, each as soon as it is known.

Knows how results are shown; does not know how they come about.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from pathlib import Path

    from app.caption_files import Captioned
    from model.caption import Caption, Token

__all__ = ["CSV_COLUMNS", "OutputFormat", "make_writer", "printable"]

CSV_COLUMNS = ("path", "rank", "caption", "logprob", "mean_logprob", "finished")


class OutputFormat(StrEnum):
    """What `--format` takes."""

    TEXT = "text"
    JSONL = "jsonl"
    CSV = "csv"


def make_writer(
    output_format: OutputFormat,
    *,
    confidence: bool = False,
    agreement: bool = False,
    grounding: bool = False,
) -> Callable[[Captioned], None]:
    """Give the function that writes one file's captions to standard output.

    CSV writes its header at once, so whether captions have a confidence and an agreement, and
    tokens a grounding, is to be said before there are any.
    """
    match output_format:
        case OutputFormat.TEXT:
            console = Console(highlight=False, markup=False, emoji=False)
            return lambda captioned: _write_text(console, captioned)
        case OutputFormat.JSONL:
            return _write_json
        case OutputFormat.CSV:
            rows = csv.writer(sys.stdout, lineterminator="\n")
            optional = {
                "confidence": confidence,
                "agreement": agreement,
                "grounding": grounding,
            }
            columns = [*CSV_COLUMNS, *(name for name, there in optional.items() if there)]
            rows.writerow(columns)
            return lambda captioned: _write_rows(rows.writerow, columns, captioned)


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
        if grounds := [f"{t.token} {t.grounding:+.1f}" for t in _grounded(caption)]:
            console.print(Text(f"{' ' * 11}{'  '.join(grounds)}", style="dim"), soft_wrap=True)


def _write_json(captioned: Captioned) -> None:
    captions = [_without_none(asdict(caption)) for caption in captioned.captions]
    for caption in captions:
        caption["tokens"] = [_without_none(token) for token in caption["tokens"]]
    line = {"path": printable(captioned.path), "captions": captions}
    sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def _write_rows(
    write_row: Callable[[list[object]], object], columns: Sequence[str], captioned: Captioned
) -> None:
    for rank, caption in enumerate(captioned.captions, start=1):
        row: dict[str, object] = {
            "path": printable(captioned.path),
            "rank": rank,
            "caption": caption.text,
            "logprob": caption.logprob,
            "mean_logprob": caption.mean_logprob,
            "finished": str(caption.finished).lower(),
            "confidence": caption.confidence,
            "agreement": caption.agreement,
            "grounding": " ".join(f"{token.grounding:.4f}" for token in _grounded(caption)),
        }
        write_row([row[name] for name in columns])
    sys.stdout.flush()


def _grounded(caption: Caption) -> list[Token]:
    return [token for token in caption.tokens if token.grounding is not None]


def _without_none(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
