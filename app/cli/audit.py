"""`unrolled audit`: list the alternative texts of a site that do not fit their pictures."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.loading import load_captioner
from app.cli.options import (
    CaptionerWeights,
    DeviceName,
    RuntimeName,
    invalid_options,
    settings_from,
)
from app.cli.terminal import exit_on, print_error, print_note, with_progress

if TYPE_CHECKING:
    from app.bulk.audit import AuditedText

__all__ = ["audit"]


def audit(
    table: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", exists=True, dir_okay=False, help="CSV with paths and texts."
        ),
    ],
    *,
    path_column: Annotated[str, typer.Option(help="The column of the pictures' paths.")] = "path",
    alt_column: Annotated[str, typer.Option(help="The column of the texts.")] = "alt",
    root: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            file_okay=False,
            help="Where relative paths begin; by default the folder of FILE.",
        ),
    ] = None,
    threshold: Annotated[
        float, typer.Option(min=0, max=1, help="A text below this chance does not fit.")
    ] = 0.3,
    output: Annotated[
        Path | None, typer.Option(help="A .csv or .jsonl file for all texts and their numbers.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the --output if it is there.")
    ] = False,
    batch_size: Annotated[
        int, typer.Option(min=1, max=1024, help="How many pictures to compare at once.")
    ] = 8,
    weights: CaptionerWeights = None,
    device: DeviceName = None,
    runtime: RuntimeName = None,
) -> None:
    """List the texts that seem to be about another picture, the least fitting first.

    Nothing is changed. The exit status is 1 if a picture could not be read, and 2 if the command
    was invalid.
    """
    settings = settings_from(weights=weights, device=device, runtime=runtime)

    from app.bulk.audit import audit_texts, read_texts, write_audit  # noqa: PLC0415
    from model.captioning.matching import Matcher  # noqa: PLC0415

    with invalid_options():
        if output is not None and output.suffix.lower() not in (".csv", ".jsonl"):
            raise ValueError("--output must end in .csv or .jsonl")
        if output is not None and output.exists() and not overwrite:
            raise ValueError(f"{output} already exists: --overwrite replaces it")
        texts = read_texts(
            table, root or table.parent, path_column=path_column, text_column=alt_column
        )
    captioner = load_captioner(settings)
    with exit_on(ValueError):
        matcher = Matcher(captioner)
    results = audit_texts(
        matcher,
        texts,
        threshold=threshold,
        batch_size=batch_size,
        max_pixels=settings.max_pixels,
    )
    audited = list(with_progress(results, len(texts), "Comparing", "pictures"))
    for each in audited:
        if each.error is not None:
            print_error(f"{each.path}: {each.error}")
    _print_table([each for each in audited if each.verdict == "does not fit"])
    if output is not None:
        with exit_on(OSError):
            write_audit(output, audited)
    verdicts = Counter(each.verdict for each in audited)
    counts = ", ".join(f"{count:,} {verdict}" for verdict, count in verdicts.most_common())
    print_note(f"{len(audited):,} texts: {counts or 'none'}")
    raise typer.Exit(1 if verdicts["failed"] else 0)


def _print_table(wrong: list[AuditedText]) -> None:
    from rich import box  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    from app.bulk.names import escape_controls  # noqa: PLC0415

    if not wrong:
        return
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("match", justify="right", no_wrap=True)
    table.add_column("picture", overflow="fold")
    table.add_column("text", overflow="fold")
    for each in sorted(wrong, key=lambda each: each.match or 0.0):
        cells = (f"{each.match:.0%}", escape_controls(each.path), escape_controls(each.text))
        table.add_row(*map(Text, cells))
    Console(highlight=False, markup=False, emoji=False).print(table)
