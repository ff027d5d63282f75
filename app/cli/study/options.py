"""Options that several studies share, and how a study reports."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Protocol, TypeVar

import typer

__all__ = [
    "Epochs",
    "Layers",
    "Output",
    "Parameters",
    "Parts",
    "Report",
    "Seed",
    "Seeds",
    "print_progress",
    "read_names",
    "read_numbers",
    "show",
]

Value = TypeVar("Value")

Output = Annotated[Path, typer.Option(help="The folder to write the report to.")]
Parts = Annotated[
    str, typer.Option(help="The parts to run, separated by commas; by default all of them.")
]
Seeds = Annotated[int, typer.Option(min=1, help="How many times each measurement is repeated.")]
Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="The first random seed.")]
Epochs = Annotated[int, typer.Option(min=1, help="Epochs of each training.")]
Parameters = Annotated[int, typer.Option(min=1, help="Parameters of each network, approximately.")]
Layers = Annotated[int, typer.Option(min=1, max=16, help="Layers of each network.")]


class Report(Protocol):
    """What every study hands back."""

    def as_markdown(self) -> str:
        """Return what was measured as a page that ends with a line's end."""

    def write(self, folder: Path) -> object:
        """Write the page, the numbers and the figures to a folder."""


def show(report: Report, output: Path) -> None:
    """Write the report of a study to a folder, and print it."""
    report.write(output)
    typer.echo(report.as_markdown(), nl=False)


def print_progress(line: str) -> None:
    """Print a line about the progress of a study on standard error."""
    typer.echo(line, err=True)


def read_names(given: str) -> tuple[str, ...]:
    """Parse names separated by commas."""
    return tuple(name.strip() for name in given.split(",") if name.strip())


def read_numbers(option: str, given: str, kind: Callable[[str], Value]) -> tuple[Value, ...]:
    """Parse numbers separated by commas.

    Raises:
        BadParameter: one of them is no number; the message names the option.
    """
    try:
        return tuple(kind(number) for number in read_names(given))
    except ValueError as error:
        raise typer.BadParameter(
            f"{option} must be numbers separated by commas, not {given}"
        ) from error
