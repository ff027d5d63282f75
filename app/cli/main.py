"""The `unrolled` command: caption, write, score, cells, serve, train, finish, evaluate and others.

Knows options and exit codes. What a command needs is imported inside it, since PyTorch takes
seconds and `unrolled --help` should not.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console

from app.cli.caption import caption
from app.cli.cells import cells
from app.cli.finalize import finish
from app.cli.models import model_tables
from app.cli.options import DeviceName, RuntimeName, Weights, settings_from
from app.cli.study import study
from app.cli.terminal import told
from app.cli.train import evaluate, train
from app.cli.write import score, write
from app.version import VERSION
from model.bundle.discovery import list_bundles

__all__ = ["app"]

app = typer.Typer(
    name="unrolled",
    help="Describes photographs and writes text with recurrent networks; says how sure it is.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)
app.add_typer(train, name="train")
app.add_typer(finish, name="finish")
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


for _command in (caption, write, score, cells):
    app.command()(_command)


@app.command()
def serve(
    *,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="0: any free one.")] = None,
    weights: Weights = None,
    device: DeviceName = None,
    runtime: RuntimeName = None,
) -> None:
    """Serve captions and texts over HTTP. Every setting is also an UNROLLED_* variable."""
    settings = settings_from(host=host, port=port, weights=weights, device=device, runtime=runtime)

    from app.cli.serve import serve as run  # noqa: PLC0415

    with told(OSError):
        run(settings)


@app.command()
def export(*, weights: Weights = None) -> None:
    """Make the models' graphs for OpenVINO now, rather than when they are first needed.

    They are kept in the folder UNROLLED_CACHE, else in the user's cache.
    """
    settings = settings_from(weights=weights)

    from app.serving.registry import read_bundles  # noqa: PLC0415
    from model.runtime.export import ExportError  # noqa: PLC0415
    from model.runtime.export import export as make  # noqa: PLC0415

    with told(ValueError, ExportError):
        captioners, language_models = read_bundles(settings.weights)
        for path in make(*captioners, *language_models):
            typer.echo(path)


@app.command()
def models(
    *,
    weights: Weights = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """List the bundles in the weights folder, with their scores."""
    settings = settings_from(weights=weights)
    with told(ValueError):
        bundles = list_bundles(settings.weights)
    if as_json:
        typer.echo(json.dumps([asdict(bundle) for bundle in bundles], indent=2))
        return
    console = Console()
    for table in model_tables(bundles):
        console.print(table)
