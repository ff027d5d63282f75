"""`unrolled caption`: caption pictures, on this machine or on a Ray cluster.

This module checks which options go together; `app.bulk` reads, captions and writes the files.
"""

from __future__ import annotations

import time
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from app.bulk.destination import Destination, PlannedFile
from app.bulk.formats import OutputFormat, choose_format
from app.bulk.names import shown_path
from app.bulk.outputs import NO_OUTPUT, OutputError, open_output
from app.bulk.sidecars import Sidecars
from app.cli.caption_options import (
    BatchSize,
    Frames,
    OutputFormatName,
    SidecarKinds,
    WithTags,
    available_fields,
    check_arguments,
    check_frames,
    check_ray_options,
    merge_options,
    output_settings,
)
from app.cli.loading import load_captioner
from app.cli.options import (
    CaptionerWeights,
    DeviceName,
    RuntimeName,
    config_options,
    invalid_options,
    settings_from,
)
from app.cli.terminal import (
    exit_on,
    print_error,
    print_note,
    require_extra,
    use_utf8,
    with_progress,
)
from model.bundle.discovery import captioner_folder
from model.captioning.wording import WordingConfig
from model.config import DecodingConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

    from app.bulk.results import FileResult
    from app.settings import Settings
    from model.captioning.captioner import Captioner

__all__ = ["caption"]


@config_options(WordingConfig, into="wording_options")
@config_options(DecodingConfig, into="decoding_options")
def caption(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH", help="Files, folders or globs; - reads a picture from standard input."
        ),
    ],
    *,
    decoding_options: dict[str, Any],
    batch_size: BatchSize = None,
    frames: Frames = 1,
    image_gain: Annotated[
        bool,
        typer.Option(
            "--image-gain", help="Show for each word how much likelier the picture makes it."
        ),
    ] = False,
    wording_options: dict[str, Any],
    output_format: OutputFormatName = None,
    output: Annotated[
        str | None, typer.Option(help="A new .jsonl or .csv file, or .parquet folder.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue an existing --output where it ends.")
    ] = False,
    sidecar: SidecarKinds = [],  # noqa: B006 - typer makes a new list
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the captions that sidecars have already.")
    ] = False,
    tags: WithTags = False,
    ray: Annotated[
        bool, typer.Option("--ray", help="Caption one PATH (or s3:// URI) on a Ray cluster.")
    ] = False,
    weights: CaptionerWeights = None,
    device: DeviceName = None,
    runtime: RuntimeName = None,
) -> None:
    """Caption pictures, with log-probabilities and, if the bundle has it, confidence.

    Folders are searched at any depth. A bad file is reported, leaves a row that says why, and the
    rest continues; --resume tries it again. With --frames, text has a line for each frame, with its
    time, and one for all; other formats keep to the latter, but JSON lines hold the frames too.
    With --sidecar alone, nothing goes to standard output, and pictures that have their sidecars are
    skipped. Options that are left out are as the bundle says. The exit status is 1 if a file was
    bad, and 2 if the command was invalid.
    """
    settings = settings_from(weights=weights, device=device, runtime=runtime)
    if ray:
        only_local = (
            *(image_gain, resume, output_format, device, sidecar, tags, frames > 1),
            *wording_options.values(),
        )
        with invalid_options():
            check_ray_options(paths, output, only_local)
        _caption_with_ray(paths[0], str(output), settings, decoding_options, batch_size)
    output_path = None if output is None else Path(output)
    with invalid_options():
        has_rows = not sidecar or output is not None or output_format is not None
        output_format = choose_format(output_format, output_path)
        check_arguments(paths, output, sidecar, resume=resume, overwrite=overwrite, tags=tags)
        check_frames(frames, wording_options)
    if output is None and output_format is not OutputFormat.TEXT:
        use_utf8()

    from app.bulk.find import describe, find_pictures  # noqa: PLC0415

    captioner = load_captioner(settings)
    decoding, wording = merge_options(
        captioner, decoding_options, wording_options, image_gain=image_gain, tags=tags
    )
    found = find_pictures(paths, films=frames > 1)
    optional_fields = available_fields(captioner, wording, image_gain=image_gain)
    try:
        with require_extra("parquet"):
            open_file = (
                open_output(
                    output_path,
                    output_format,
                    optional_fields,
                    output_settings(captioner, decoding, optional_fields, wording, frames),
                    resume=resume,
                    relative=not all(file.is_absolute() for file in found.paths),
                )
                if has_rows
                else NO_OUTPUT
            )
    except OutputError as error:
        raise typer.BadParameter(str(error)) from error
    if found.left_out:
        print_note(f"left out: {describe(found.left_out)}")
    sidecars = Sidecars(sidecar, overwrite=overwrite) if sidecar else None
    destination = Destination(open_file, sidecars)
    left = destination.plan(found.files)
    results = _caption_each(captioner, frames, batch_size)(
        (planned.file for planned in left),
        decoding,
        max_pixels=settings.max_pixels,
        image_gain=image_gain,
        tags=tags,
        wording=wording,
    )
    done, total = len(found.files) - len(left), len(found.files)
    started = time.perf_counter()
    # Even on Ctrl-C, close both: no more pictures are read, and finished results are kept.
    with exit_on(OutputError), closing(open_file), closing(results):
        progress = with_progress(results, total, "Captioning", "pictures", done)
        failed = _write(zip(left, progress, strict=True), destination)
    if output is not None or sidecar:
        seconds = time.perf_counter() - started
        captioned = len(left) - failed
        before = f"{done:,} were done before; " if done else ""
        print_note(
            f"{before}{captioned:,} pictures captioned, {failed:,} failed, in {seconds:.1f} s: "
            f"{captioned / seconds:.1f} pictures a second"
        )
    if sidecars is not None:
        print_note(sidecars.summary())
    raise typer.Exit(1 if failed else 0)


def _caption_each(
    captioner: Captioner, frames: int, batch_size: int | None
) -> Callable[..., Generator[FileResult, None, None]]:
    """Return what captions files: as pictures in batches, or as clips one by one."""
    from app.bulk.clips import caption_clips  # noqa: PLC0415
    from app.bulk.files import caption_files, usual_batch_size  # noqa: PLC0415

    if frames > 1:
        return partial(caption_clips, captioner, frames=frames)
    size = batch_size or usual_batch_size(captioner.device)
    return partial(caption_files, captioner, batch_size=size)


def _write(results: Iterable[tuple[PlannedFile, FileResult]], destination: Destination) -> int:
    """Write results, report the files that failed, and return their number."""
    failed = 0
    for planned, result in results:
        if (reason := destination.write(planned, result)) is not None:
            failed += 1
            print_error(f"{shown_path(result.path)}: {reason}")
    return failed


def _caption_with_ray(
    source: str,
    output: str,
    settings: Settings,
    decoding_options: dict[str, Any],
    batch_size: int | None,
) -> NoReturn:
    """Caption a data set with Ray Data, and exit."""
    from model.bundle.read import load_bundle  # noqa: PLC0415
    from model.config import CaptionerConfig  # noqa: PLC0415

    with require_extra("cluster"):
        from app.bulk.ray_data import caption_dataset  # noqa: PLC0415
    with exit_on(ValueError, OSError):
        folder = captioner_folder(settings.weights)
        default = load_bundle(folder, CaptionerConfig).config.decoding
        with invalid_options():
            decoding = default.merge(**decoding_options)
        summary = caption_dataset(
            source,
            decoding,
            output=output,
            weights=folder,
            batch_size=batch_size,
            max_pixels=settings.max_pixels,
        )
    print_note(f"{summary.rows:,} rows written, {summary.errors:,} with an error")
    raise typer.Exit(1 if summary.errors else 0)
