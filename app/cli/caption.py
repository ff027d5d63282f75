"""`unrolled caption`: pictures to captions, on this machine or on a Ray cluster.

Knows options and what goes with what; what is done is `app.bulk.files`'s business, what is
written `app.bulk.outputs`'s.
"""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from app.bulk.formats import Extras, OutputFormat, printable
from app.bulk.outputs import OutputError, choose_format, open_output, remaining
from app.cli.options import DeviceName, RuntimeName, Weights, settings_from
from app.cli.terminal import print_error, require_extra, show_log, told, with_progress
from app.cores import usable_cores
from model.bundle.discovery import captioner_folder
from model.decoding.options import resolve_decoding

if TYPE_CHECKING:
    from app.settings import Settings
    from model.captioning.captioner import Captioner
    from model.config import DecodingConfig

__all__ = ["caption"]


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
    image_gain: Annotated[
        bool, typer.Option("--image-gain", help="Of each word: how far it is the picture's.")
    ] = False,
    output_format: Annotated[
        OutputFormat | None, typer.Option("--format", help="Else as --output is named; or text.")
    ] = None,
    output: Annotated[
        str | None, typer.Option(help="A new .jsonl, .csv or .parquet (a folder of parts).")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with --output where it ends, if it is there.")
    ] = False,
    ray: Annotated[
        bool, typer.Option("--ray", help="On a Ray cluster: one PATH, or s3://, to --output.")
    ] = False,
    weights: Weights = None,
    device: DeviceName = None,
    runtime: RuntimeName = None,
) -> None:
    """Caption pictures; each caption comes with its log-probability, and its confidence if known.

    BundleFolders are searched at any depth. A bad file is reported, and the rest goes on; --resume
    tries it again. Exits with 1 if any file was bad, with 2 if the command was wrong.
    """
    settings = settings_from(weights=weights, device=device, runtime=runtime)
    asked = {
        "beam_size": beam_size,
        "num_captions": num_captions,
        "max_length": max_length,
        "length_penalty": length_penalty,
        "consensus": consensus,
    }
    if ray:
        if len(paths) != 1 or output is None:
            raise typer.BadParameter("--ray takes one PATH and --output")
        if image_gain or resume or output_format is not None or device is not None:
            raise typer.BadParameter(
                "--ray goes without --image-gain, --resume, --format and --device: the output's "
                "name says its format, and the cluster has the devices"
            )
        _caption_on_a_cluster(paths[0], output, settings, asked, batch_size)
    kept_in = None if output is None else Path(output)
    try:
        output_format = choose_format(output_format, kept_in)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    if resume and kept_in is None:
        raise typer.BadParameter("--resume needs --output: it goes on with a file")

    from app.bulk.files import Failed, caption_files, find_pictures  # noqa: PLC0415
    from model.captioning.captioner import Captioner  # noqa: PLC0415

    show_log("model.runtime.export")  # what takes long, the first time
    with told(ValueError):
        captioner = Captioner.load(
            captioner_folder(settings.weights),
            settings.device,
            runtime=settings.runtime,
            threads=settings.threads or usable_cores(),
            precision=settings.precision,
        )
    decoding = _decoding(captioner.config.decoding, asked)
    if image_gain and captioner.mean_context is None:
        raise typer.BadParameter(
            "--image-gain needs a bundle with a mean picture: see `unrolled finalize`"
        )
    if consensus and captioner.consensus is None:
        raise typer.BadParameter(
            "--consensus needs a bundle with a consensus: see `unrolled finalize`"
        )
    extras = Extras(
        confidence=captioner.config.calibration is not None,
        agreement=captioner.consensus is not None,
        image_gain=image_gain,
    )
    try:
        with require_extra("parquet"):
            kept = open_output(
                kept_in, output_format, extras, _made_by(captioner, decoding, extras), resume=resume
            )
    except OutputError as error:
        raise typer.BadParameter(str(error)) from error
    files = find_pictures(paths)
    rest = remaining(files, kept.done)
    results = caption_files(
        captioner,
        rest,
        decoding,
        batch_size=batch_size,
        max_pixels=settings.max_pixels,
        image_gain=image_gain,
    )
    done, total, failed = len(files) - len(rest), len(files), 0
    began = time.perf_counter()
    # Closed in any case, Ctrl-C too: pictures are no longer read, and what is known is kept.
    with told(OutputError), closing(kept), closing(results):
        for result in with_progress(results, total, "Captioning", unit="pictures", done=done):
            if isinstance(result, Failed):
                failed += 1
                print_error(f"{printable(result.path)}: {result.reason}")
            else:
                kept.write(result)
    if output is not None:
        seconds = time.perf_counter() - began
        captioned = len(rest) - failed
        before = f"{done:,} were there; " if done else ""
        print_error(
            f"{before}{captioned:,} pictures captioned, {failed:,} failed, in {seconds:.1f} s: "
            f"{captioned / seconds:.1f} pictures a second",
            style="dim",
        )
    raise typer.Exit(1 if failed else 0)


def _decoding(default: DecodingConfig, asked: dict[str, Any]) -> DecodingConfig:
    try:
        return resolve_decoding(default, **asked)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _caption_on_a_cluster(
    source: str, output: str, settings: Settings, asked: dict[str, Any], batch_size: int
) -> NoReturn:
    """Caption a data set by Ray Data, and exit."""
    from model.bundle.read import load_bundle  # noqa: PLC0415
    from model.config import CaptionerConfig  # noqa: PLC0415

    with require_extra("cluster"):
        from app.bulk.ray_data import caption_dataset  # noqa: PLC0415
    with told(ValueError, OSError):
        folder = captioner_folder(settings.weights)
        decoding = _decoding(load_bundle(folder, CaptionerConfig).config.decoding, asked)
        summary = caption_dataset(
            source,
            decoding,
            output=output,
            weights=folder,
            batch_size=batch_size,
            max_pixels=settings.max_pixels,
        )
    print_error(f"{summary.rows:,} rows written, {summary.errors:,} with an error", style="dim")
    raise typer.Exit(1 if summary.errors else 0)


def _made_by(captioner: Captioner, decoding: DecodingConfig, extras: Extras) -> dict[str, Any]:
    """Say what decides on captions: an output is made in one way throughout."""
    config = captioner.config
    return {
        "model": config.name,
        "version": config.version,
        "weights": config.sha256.get("model.safetensors"),
        **asdict(decoding),
        **asdict(extras),
    }
