"""What the commands tell on standard error, and with which exit code.

Knows exceptions that people can mend; does not know the commands.
"""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import typer
from rich.console import Console
from rich.logging import RichHandler
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

__all__ = ["print_error", "require_extra", "show_log", "told", "with_progress"]

Result = TypeVar("Result")

_console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)

# A progress bar is for what takes long enough to wonder.
_MANY = 20


def print_error(message: str, style: str = "red") -> None:
    """Print one line on standard error."""
    _console.print(message, style=style)


def show_log(name: str) -> None:
    """Print what a logger says from now on, a line each, on standard error."""
    logger = logging.getLogger(name)
    if not logger.handlers:
        handler = RichHandler(console=_console, show_time=False, show_level=False, show_path=False)
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)


@contextmanager
def told(*kinds: type[Exception]) -> Iterator[None]:
    """Tell an expected error in one line, without a traceback, and exit with 1."""
    try:
        yield
    except kinds as error:
        print_error(f"unrolled: {error}")
        raise typer.Exit(1) from error


@contextmanager
def require_extra(extra: str) -> Iterator[None]:
    """Say which extra to install where one of its packages is missing, and exit with 1."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ("app", "model"):
            raise
        install = f"pip install -c constraints.txt -e '.[{extra}]'"
        print_error(f"unrolled: this needs {error.name}; in a clone of Unrolled: {install}")
        raise typer.Exit(1) from error


def with_progress(
    results: Iterator[Result], total: int, what: str, *, unit: str, done: int = 0
) -> Iterator[Result]:
    """Show how far they are, how many a second and how long it takes, on standard error.

    Only where a terminal's user waits for many results. Of `total`, `done` are there already.
    """
    if total - done <= _MANY or not _console.is_terminal:
        yield from results
        return
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        _Rate(unit),
        TimeRemainingColumn(elapsed_when_finished=True),
        console=_console,
        # Results that go to a file or a pipe are not to be shown above the bar instead.
        redirect_stdout=sys.stdout.isatty(),
    )
    with progress:
        task = progress.add_task(what, total=total, completed=done)
        for result in results:
            yield result
            progress.advance(task)


class _Rate(ProgressColumn):
    """How many a second, lately."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f} {self._unit}/s")
