"""Progress of long work on standard error: a bar on a terminal, and lines in a log file."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

__all__ = ["Update", "batches", "make_console", "progress", "status"]

Item = TypeVar("Item")

# Called with how much is done, and a note about it.
Update = Callable[[int, str], None]

# Between two lines in a log file.
_SECONDS = 30.0


def make_console(*, quiet: bool = False) -> Console:
    """Return a console on standard error that prints text as it is, a line as one line."""
    return Console(stderr=True, quiet=quiet, highlight=False, markup=False, soft_wrap=True)


@contextmanager
def progress(console: Console, what: str, total: int, *, done: int = 0) -> Iterator[Update]:
    """Show the progress of a block, which calls what this yields.

    Args:
        console: where to; if it is not a terminal, a line is printed every half minute.
        what: the name of the work.
        total: how much there is to do.
        done: how much of it is already done.
    """
    if not _is_terminal(console):
        yield _lines(console, what, total, done)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        row = bar.add_task(what, total=total, completed=done, note="")
        yield lambda done, note: bar.update(row, completed=done, note=note)


@contextmanager
def status(console: Console, what: str) -> Iterator[None]:
    """Show on a terminal what a short block does, beside a spinner."""
    with console.status(what) if _is_terminal(console) else nullcontext():
        yield


def batches(
    items: Sequence[Item],
    batch_size: int,
    *,
    what: str = "Captioning",
    show: bool = True,
    console: Console | None = None,
) -> Iterator[Sequence[Item]]:
    """Yield items in order, `batch_size` at a time, and show progress as `what`."""
    console = console or make_console(quiet=not show)
    with progress(console, what, len(items)) as update:
        for start in range(0, len(items), batch_size):
            batch = items[start : start + batch_size]
            yield batch
            update(start + len(batch), "")


def _is_terminal(console: Console) -> bool:
    # Rich also takes a file for a terminal if FORCE_COLOR is set.
    return console.is_interactive and console.file.isatty()


def _lines(console: Console, what: str, total: int, before: int) -> Update:
    """Return an update that prints a line if the last one is old enough."""
    started = printed = time.monotonic()

    def update(done: int, note: str) -> None:
        nonlocal printed
        now = time.monotonic()
        if now - printed < _SECONDS or done <= before:
            return
        printed = now
        left = timedelta(seconds=round((now - started) / (done - before) * (total - done)))
        line = f"{what}: {done:,} of {total:,} ({done / total:.0%}), {left} left"
        console.print(f"{line}, {note}" if note else line)

    return update
