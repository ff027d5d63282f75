"""The `unrolled` command line, assembled from one module per command.

A command imports slow packages (PyTorch, NumPy, Pillow, FastAPI) inside its function, not at the
top of its module: `unrolled --help` imports every command, and must answer at once.
"""

from __future__ import annotations

from typing import Annotated

import typer

from app.cli.audit import audit
from app.cli.caption import caption
from app.cli.cells import cells
from app.cli.evaluate import evaluate
from app.cli.export import export
from app.cli.finalize import finalize
from app.cli.models import models
from app.cli.score import score
from app.cli.serve import serve
from app.cli.streams import Commands
from app.cli.study import study
from app.cli.train import train
from app.cli.watch import watch
from app.cli.write import write
from app.version import VERSION

__all__ = ["app"]

app = typer.Typer(
    name="unrolled",
    cls=Commands,
    help="Describe photographs and write text with recurrent networks, and show how sure they are.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)

for _command in (caption, watch, audit, write, score, cells, serve, export, models):
    app.command()(_command)

app.add_typer(train, name="train")
app.add_typer(finalize, name="finalize")
app.add_typer(evaluate, name="evaluate")
app.add_typer(study, name="study")


@app.callback(invoke_without_command=True)
def _main(
    *,
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    if version:
        typer.echo(f"unrolled {VERSION}")
        raise typer.Exit


if __name__ == "__main__":
    app(prog_name="unrolled")
