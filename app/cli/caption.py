"""`unrolled caption`: caption pictures, on this machine or on a Ray cluster.

This module checks which options go together; `app.bulk` reads, captions and writes the files.
"""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from app.bulk.formats import OptionalFields, OutputFormat
from app.bulk.names import shown_path
from app.bulk.outputs import OutputError, choose_format, open_output, remaining
from app.cli.loading import note_if_unfinished
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
    show_log,
    use_utf8,
    with_progress,
)
from app.cores import usable_cores
from model.bundle.discovery import captioner_folder
from model.bundle.format import WEIGHTS
from model.captioning.wording import WordingConfig
from model.config import DecodingConfig

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from app.bulk.outputs import Output
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
    batch_size: Annotated[
        int, typer.Option(min=1, max=1024, help="How many pictures to caption at once.")
    ] = 8,
    image_gain: Annotated[
        bool,
        typer.Option(
            "--image-gain", help="Show for each word how much likelier the picture makes it."
        ),
    ] = False,
    wording_options: dict[str, Any],
    output_format: Annotated[
        OutputFormat | None,
        typer.Option(
            "--format", help="The output format; by default from the suffix of --output, else text."
        ),
    ] = None,
    output: Annotated[
        str | None, typer.Option(help="A new .jsonl or .csv file, or .parquet folder.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue an existing --output where it ends.")
    ] = False,
    ray: Annotated[
        bool, typer.Option("--ray", help="Caption one PATH (or s3:// URI) on a Ray cluster.")
    ] = False,
    weights: CaptionerWeights = None,
    device: DeviceName = None,
    runtime: RuntimeName = None,
) -> None:
    """Caption pictures, with log-probabilities and, if the bundle has it, confidence.

    Folders are searched at any depth. A bad file is reported, leaves a row that says why, and the
    rest continues; --resume tries it again. Options that are left out are as the bundle says. The
    exit status is 1 if a file was bad, and 2 if the command was invalid.
    """
    settings = settings_from(weights=weights, device=device, runtime=runtime)
    if ray:
        only_local = (image_gain, resume, output_format, device, *wording_options.values())
        with invalid_options():
            _check_ray_options(paths, output, only_local)
        _caption_with_ray(paths[0], str(output), settings, decoding_options, batch_size)
    output_path = None if output is None else Path(output)
    with invalid_options():
        output_format = choose_format(output_format, output_path)
        _check_arguments(paths, output, resume=resume)
    if output is None and output_format is not OutputFormat.TEXT:
        use_utf8()

    from app.bulk.files import caption_files  # noqa: PLC0415
    from app.bulk.find import describe, find_pictures  # noqa: PLC0415
    from app.serving.huge_pages import huge_pages  # noqa: PLC0415
    from model.captioning.captioner import Captioner  # noqa: PLC0415

    show_log("model.runtime.export")  # exporting takes a while, the first time
    with exit_on(ValueError), huge_pages():
        captioner = Captioner.load(
            captioner_folder(settings.weights),
            settings.device,
            runtime=settings.runtime,
            threads=settings.threads or usable_cores(),
            precision=settings.precision,
        )
    note_if_unfinished(captioner.config)
    with invalid_options():
        decoding = captioner.config.decoding.merge(**decoding_options)
        wording = WordingConfig().merge(**wording_options)
        captioner.check_support(
            decoding,
            image_gain=image_gain,
            min_confidence=wording.min_confidence is not None,
        )
    found = find_pictures(paths)
    optional_fields = OptionalFields(
        confidence=captioner.config.calibration is not None,
        agreement=captioner.has_consensus,
        image_gain=image_gain,
        alt_text=wording.style == "alt",
    )
    try:
        with require_extra("parquet"):
            open_file = open_output(
                output_path,
                output_format,
                optional_fields,
                _output_settings(captioner, decoding, optional_fields, wording),
                resume=resume,
                relative=not all(file.is_absolute() for file in found.paths),
            )
    except OutputError as error:
        raise typer.BadParameter(str(error)) from error
    if found.left_out:
        print_note(f"left out: {describe(found.left_out)}")
    left = remaining(found.files, open_file.done)
    results = caption_files(
        captioner,
        left,
        decoding,
        batch_size=batch_size,
        max_pixels=settings.max_pixels,
        image_gain=image_gain,
        wording=wording,
    )
    done, total = len(found.files) - len(left), len(found.files)
    started = time.perf_counter()
    # Even on Ctrl-C, close both: no more pictures are read, and finished results are kept.
    with exit_on(OutputError), closing(open_file), closing(results):
        failed = _write(with_progress(results, total, "Captioning", "pictures", done), open_file)
    if output is not None:
        seconds = time.perf_counter() - started
        captioned = len(left) - failed
        before = f"{done:,} were done before; " if done else ""
        print_note(
            f"{before}{captioned:,} pictures captioned, {failed:,} failed, in {seconds:.1f} s: "
            f"{captioned / seconds:.1f} pictures a second"
        )
    raise typer.Exit(1 if failed else 0)


def _write(results: Iterable[FileResult], output: Output) -> int:
    """Write results, report the files that failed, and return their number."""
    from app.bulk.results import FailedFile  # noqa: PLC0415

    failed = 0
    for result in results:
        if isinstance(result, FailedFile):
            failed += 1
            print_error(f"{shown_path(result.path)}: {result.reason}")
        output.write(result)
    return failed


def _check_ray_options(paths: list[str], output: str | None, only_local: Sequence[object]) -> None:
    """Check the options that go with --ray.

    Raises:
        ValueError: one is missing, or must be left out.
    """
    if len(paths) != 1 or not paths[0] or output is None:
        raise ValueError("--ray needs exactly one PATH, and --output")
    if any(option is not None and option is not False for option in only_local):
        raise ValueError(
            "--ray cannot be combined with --image-gain, --style, --min-confidence, --below, "
            "--gender-neutral, --resume, --format or --device: the output's suffix decides the "
            "format, and the cluster the devices"
        )


def _check_arguments(paths: list[str], output: str | None, *, resume: bool) -> None:
    """Check that every path can name a file, and that an output can be resumed.

    Raises:
        ValueError: it cannot.
    """
    from app.bulk.find import check_arguments  # noqa: PLC0415

    check_arguments(paths)
    if resume and output is None:
        raise ValueError("--resume needs --output, the file to continue")
    if resume and "-" in paths:
        raise ValueError("--resume cannot be combined with -: standard input has no name")


def _caption_with_ray(
    source: str, output: str, settings: Settings, decoding_options: dict[str, Any], batch_size: int
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


def _output_settings(
    captioner: Captioner,
    decoding: DecodingConfig,
    optional_fields: OptionalFields,
    wording: WordingConfig,
) -> dict[str, Any]:
    """Return everything that decides what captions come out: an output is made with one set."""
    config = captioner.config
    return {
        "model": config.name,
        "version": config.version,
        "weights": config.sha256.get(WEIGHTS),
        **asdict(decoding),
        **asdict(optional_fields),
        **asdict(wording),
    }
