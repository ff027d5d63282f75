"""Messages, progress and exit codes of the commands; messages go to standard error."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import TextIOWrapper
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

from app.bulk.names import escape_controls

__all__ = [
    "exit_on",
    "print_error",
    "print_note",
    "printable_text",
    "require_extra",
    "show_log",
    "use_utf8",
    "with_progress",
]

Result = TypeVar("Result")

_console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)

# With no more results than this, a progress bar is not worth showing.
_MIN_FOR_PROGRESS = 20


def print_error(message: str) -> None:
    """Print an error on standard error."""
    _print(message, "red")


def print_note(message: str) -> None:
    """Print a remark, such as a summary, on standard error."""
    _print(message, "dim")


def use_utf8() -> None:
    """Write UTF-8 to standard output, for programs: JSON and CSV do not depend on the locale."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", newline="\n")


def printable_text(text: str) -> str:
    """Make a command-line argument printable, whatever bytes it contains."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def show_log(name: str) -> None:
    """Print the messages of a logger on standard error from now on."""
    logger = logging.getLogger(name)
    if not logger.handlers:
        handler = RichHandler(console=_console, show_time=False, show_level=False, show_path=False)
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)


@contextmanager
def exit_on(*kinds: type[Exception]) -> Iterator[None]:
    """Print an expected error in one line, without a traceback, and exit with status 1."""
    try:
        yield
    except kinds as error:
        print_error(f"unrolled: {error}")
        raise typer.Exit(1) from error


@contextmanager
def require_extra(extra: str) -> Iterator[None]:
    """If a package is missing, print which extra to install, and exit with status 1."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ("app", "model"):
            raise
        install = f"pip install -c constraints.txt -e '.[{extra}]'"
        print_error(f"unrolled: this needs {error.name}: in a clone of Unrolled, run {install}")
        raise typer.Exit(1) from error


def with_progress(
    results: Iterator[Result], total: int, what: str, unit: str, done: int = 0
) -> Iterator[Result]:
    """Yield the results, and show progress, rate and remaining time on standard error.

    Shows nothing if standard error is not a terminal, or there are few results. `done` of `total`
    are already finished.
    """
    if total - done <= _MIN_FOR_PROGRESS or not _console.is_terminal:
        yield from results
        return
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        _Rate(unit),
        TimeRemainingColumn(elapsed_when_finished=True),
        console=_console,
        # Results that go to a file or a pipe must not appear above the bar instead.
        redirect_stdout=sys.stdout.isatty(),
    )
    with progress:
        task = progress.add_task(what, total=total, completed=done)
        for result in results:
            yield result
            progress.advance(task)


class _Rate(ProgressColumn):
    """The recent number of results per second."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f} {self._unit}/s")


def _print(message: str, style: str) -> None:
    # A message may have several lines, but a name in it must not act on the terminal. If standard
    # error cannot be written, there is nobody to tell.
    with suppress(OSError):
        _console.print("\n".join(map(escape_controls, message.split("\n"))), style=style)
