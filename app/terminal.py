"""What the commands tell on standard error, and with which exit code.

Knows exceptions that people can mend; does not know the commands.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import typer
from rich.console import Console
from rich.progress import track

__all__ = ["complain", "needs_extra", "told", "with_progress"]

Result = TypeVar("Result")

_console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)

# A progress bar is for what takes long enough to wonder.
_MANY = 20


def complain(message: str, style: str = "red") -> None:
    """Print one line on standard error."""
    _console.print(message, style=style)


@contextmanager
def told(*kinds: type[Exception]) -> Iterator[None]:
    """Tell an expected error in one line, without a traceback, and exit with 1."""
    try:
        yield
    except kinds as error:
        complain(f"unrolled: {error}")
        raise typer.Exit(1) from error


@contextmanager
def needs_extra(extra: str) -> Iterator[None]:
    """Say which extra to install where one of its packages is missing, and exit with 1."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ("app", "model"):
            raise
        install = f"pip install -c constraints.txt -e '.[{extra}]'"
        complain(f"unrolled: this needs {error.name}; in a clone of Unrolled: {install}")
        raise typer.Exit(1) from error


def with_progress(results: Iterator[Result], total: int, what: str) -> Iterator[Result]:
    """Show a bar on standard error where a terminal's user waits for many results."""
    if total <= _MANY or not _console.is_terminal:
        return results
    return iter(track(results, what, total=total, console=_console))
