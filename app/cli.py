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

from app.bundles import captioner_folder, list_bundles
from app.caption_formats import OutputFormat, make_writer, printable
from app.cells_cli import cells
from app.cores import usable_cores
from app.decoding import resolve_decoding
from app.finish_cli import finish
from app.learning_cli import evaluate, train
from app.model_tables import model_tables
from app.options import DeviceName, RuntimeName, Weights, settings_from
from app.study_cli import study
from app.terminal import complain, told, with_progress
from app.text_cli import score, write
from app.version import VERSION

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
    consensus: Annotated[
        bool | None, typer.Option(help="Agree with people on pictures that look alike.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, max=1024, help="Pictures at once.")] = 8,
    grounding: Annotated[
        bool, typer.Option("--grounding", help="Of each word: how far it is the picture's.")
    ] = False,
    output_format: Annotated[OutputFormat, typer.Option("--format")] = OutputFormat.TEXT,
    weights: Weights = None,
    device: DeviceName = None,
    runtime: RuntimeName = None,
) -> None:
    """Caption pictures; each caption comes with its log-probability, and its confidence if known.

    Folders are searched at any depth. A bad file is reported, and the rest goes on. Exits with 1
    if any file was bad, with 2 if the command was wrong.
    """
    settings = settings_from(weights=weights, device=device, runtime=runtime)

    from app.caption_files import Failed, caption_files, find_pictures  # noqa: PLC0415
    from model.captioner import Captioner  # noqa: PLC0415

    with told(ValueError):
        captioner = Captioner.load(
            captioner_folder(settings.weights),
            settings.device,
            runtime=settings.runtime,
            threads=settings.threads or usable_cores(),
        )
    try:
        decoding = resolve_decoding(
            captioner.config.decoding,
            beam_size=beam_size,
            num_captions=num_captions,
            max_length=max_length,
            length_penalty=length_penalty,
            consensus=consensus,
        )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    if grounding and captioner.mean_picture is None:
        raise typer.BadParameter("--grounding needs a bundle with a mean picture: see `finish`")
    if consensus and captioner.consensus is None:
        raise typer.BadParameter("--consensus needs a bundle with a consensus: see `finish`")
    files = find_pictures(paths)
    results = caption_files(
        captioner,
        files,
        decoding,
        batch_size=batch_size,
        max_pixels=settings.max_pixels,
        grounding=grounding,
    )
    write = make_writer(
        output_format,
        confidence=captioner.config.calibration is not None,
        agreement=captioner.consensus is not None,
        grounding=grounding,
    )
    any_bad = False
    for result in with_progress(results, len(files), "Captioning"):
        if isinstance(result, Failed):
            any_bad = True
            complain(f"{printable(result.path)}: {result.reason}")
        else:
            write(result)
    raise typer.Exit(1 if any_bad else 0)


for _command in (write, score, cells):
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

    from app.serve import serve as run  # noqa: PLC0415

    with told(OSError):
        run(settings)


@app.command()
def export(*, weights: Weights = None) -> None:
    """Make the captioner's graphs for OpenVINO now, rather than when they are first needed.

    They are kept in the folder UNROLLED_CACHE, else in the user's cache.
    """
    settings = settings_from(weights=weights)

    from model.bundle import load_bundle  # noqa: PLC0415
    from model.config import CaptionerConfig  # noqa: PLC0415
    from model.export import ExportError  # noqa: PLC0415
    from model.export import export as make  # noqa: PLC0415

    with told(ValueError, ExportError):
        typer.echo(make(load_bundle(captioner_folder(settings.weights), CaptionerConfig)))


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
