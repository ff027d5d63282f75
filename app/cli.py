"""The `unrolled` command: caption, serve, models, train, evaluate.

Knows options and exit codes. What a command needs is imported inside it, since PyTorch takes
seconds and `unrolled --help` should not.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from app.bundles import captioner_folder, list_bundles
from app.caption_formats import OutputFormat, make_writer, printable
from app.decoding import resolve_decoding
from app.learning_cli import evaluate, train
from app.settings import Device, Settings, SettingsError, read_settings
from app.terminal import complain, told, with_progress
from app.version import VERSION

__all__ = ["app"]

app = typer.Typer(
    name="unrolled",
    help="Describes photographs with a CNN and an LSTM, and says how sure it is.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)
app.add_typer(train, name="train")
app.add_typer(evaluate, name="evaluate")

Weights = Annotated[
    Path | None, typer.Option(help="A bundle, or the folder that holds captioner/.")
]
DeviceName = Annotated[Device | None, typer.Option(help="auto prefers a GPU.")]


@app.callback(invoke_without_command=True)
def _main(
    *,
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    if version:
        typer.echo(f"unrolled {VERSION}")
        raise typer.Exit


@app.command()
def caption(
    paths: Annotated[list[str], typer.Argument(metavar="PATH", help="Files, folders, globs.")],
    *,
    beam_size: Annotated[
        int | None, typer.Option(min=1, max=10, help="Hypotheses kept; else the bundle's (3).")
    ] = None,
    num_captions: Annotated[
        int | None, typer.Option(min=1, max=10, help="Captions a picture, best first.")
    ] = None,
    max_length: Annotated[
        int | None, typer.Option(min=1, max=50, help="Tokens, the end token counted.")
    ] = None,
    length_penalty: Annotated[
        float | None, typer.Option(min=0, max=2, help="Above 0 favours longer captions.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, max=1024, help="Pictures at once.")] = 8,
    output_format: Annotated[OutputFormat, typer.Option("--format")] = OutputFormat.TEXT,
    weights: Weights = None,
    device: DeviceName = None,
) -> None:
    """Caption pictures; each caption comes with its log-probability.

    Folders are searched at any depth. A bad file is reported, and the rest goes on. Exits with 1
    if any file was bad, with 2 if the command was wrong.
    """
    settings = _settings(weights=weights, device=device)

    from app.caption_files import Failed, caption_files, find_pictures  # noqa: PLC0415
    from model.captioner import Captioner  # noqa: PLC0415

    with told(ValueError):
        captioner = Captioner.load(captioner_folder(settings.weights), settings.device)
    try:
        decoding = resolve_decoding(
            captioner.config.decoding,
            beam_size=beam_size,
            num_captions=num_captions,
            max_length=max_length,
            length_penalty=length_penalty,
        )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    files = find_pictures(paths)
    results = caption_files(
        captioner, files, decoding, batch_size=batch_size, max_pixels=settings.max_pixels
    )
    write = make_writer(output_format)
    any_bad = False
    for result in with_progress(results, len(files), "Captioning"):
        if isinstance(result, Failed):
            any_bad = True
            complain(f"{printable(result.path)}: {result.reason}")
        else:
            write(result)
    raise typer.Exit(1 if any_bad else 0)


@app.command()
def serve(
    *,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="0: any free one.")] = None,
    weights: Weights = None,
    device: DeviceName = None,
) -> None:
    """Serve captions over HTTP. Every setting is also an UNROLLED_* variable."""
    settings = _settings(host=host, port=port, weights=weights, device=device)

    from app.serve import serve as run  # noqa: PLC0415

    with told(OSError):
        run(settings)


@app.command()
def models(
    *,
    weights: Weights = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """List the bundles in the weights folder, with their scores."""
    settings = _settings(weights=weights)
    with told(ValueError):
        bundles = list_bundles(settings.weights)
    if as_json:
        typer.echo(json.dumps([asdict(bundle) for bundle in bundles], indent=2))
        return
    table = Table("name", "kind", "version", "size", "scores")
    for bundle in bundles:
        scores = "\n".join(_score_lines(bundle.scores))
        megabytes = f"{bundle.size / 1e6:.1f} MB"
        table.add_row(bundle.name, bundle.kind, bundle.version, megabytes, scores)
    Console().print(table)


def _settings(**overrides: Any) -> Settings:
    try:
        return read_settings(**overrides)
    except SettingsError as error:
        raise typer.BadParameter(str(error)) from error


def _score_lines(scores: dict[str, Any]) -> Iterator[str]:
    for test_set, by_beam in scores.items():
        for beam, metrics in by_beam.items():
            numbers = ", ".join(f"{metric} {value:.3f}" for metric, value in metrics.items())
            yield f"{test_set}, beam {beam}: {numbers}"
