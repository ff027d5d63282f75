"""`unrolled watch`: caption the pictures that arrive in folders, until it is stopped."""

from __future__ import annotations

import signal
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.bulk.destination import Destination
from app.bulk.formats import OutputFormat, choose_format
from app.bulk.names import shown_path
from app.bulk.outputs import NO_OUTPUT, OutputError, open_output
from app.bulk.results import CaptionedFile
from app.bulk.sidecars import Sidecars
from app.cli.caption_options import (
    BatchSize,
    OutputFormatName,
    SidecarKinds,
    WithTags,
    available_fields,
    check_arguments,
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
from app.cli.terminal import exit_on, print_error, print_note, use_utf8
from model.captioning.wording import WordingConfig
from model.config import DecodingConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from app.bulk.results import FailedFile, FileResult

__all__ = ["watch"]


@config_options(DecodingConfig, into="decoding_options")
@config_options(WordingConfig, into="wording_options")
def watch(
    folders: Annotated[
        list[Path],
        typer.Argument(metavar="DIR", exists=True, file_okay=False, help="Folders, at any depth."),
    ],
    *,
    decoding_options: dict[str, Any],
    wording_options: dict[str, Any],
    batch_size: BatchSize = None,
    settle: Annotated[
        float,
        typer.Option(min=0, max=3600, help="A picture is whole if unchanged for so many seconds."),
    ] = 2.0,
    output_format: OutputFormatName = None,
    output: Annotated[
        str | None, typer.Option(help="A .jsonl or .csv file, continued if it is there.")
    ] = None,
    sidecar: SidecarKinds = [],  # noqa: B006 - typer makes a new list
    tags: WithTags = False,
    weights: CaptionerWeights = None,
    device: DeviceName = None,
    runtime: RuntimeName = None,
) -> None:
    """Caption the pictures in folders, and those that arrive, until Ctrl-C.

    Pictures that have their row and sidecars already are left out, so it goes on where it was. A
    bad file is reported, and tried again when it changes.
    """
    settings = settings_from(weights=weights, device=device, runtime=runtime)
    output_path = None if output is None else Path(output)
    with invalid_options():
        has_rows = not sidecar or output is not None or output_format is not None
        output_format = choose_format(output_format, output_path)
        if output_format is OutputFormat.PARQUET:
            raise ValueError("watch writes .jsonl or .csv: parts of Parquet appear too late")
        check_arguments([], output, sidecar, resume=False, overwrite=False, tags=tags)
    if output is None and output_format is not OutputFormat.TEXT:
        use_utf8()

    from app.bulk.arrivals import watch_folders  # noqa: PLC0415
    from app.bulk.files import caption_files, usual_batch_size  # noqa: PLC0415

    captioner = load_captioner(settings)
    decoding, wording = merge_options(captioner, decoding_options, wording_options, tags=tags)
    optional_fields = available_fields(captioner, wording)
    open_file = NO_OUTPUT
    if has_rows:
        try:
            open_file = open_output(
                output_path,
                output_format,
                optional_fields,
                output_settings(captioner, decoding, optional_fields, wording),
                resume=True,
                relative=not all(folder.is_absolute() for folder in folders),
            )
        except OutputError as error:
            raise typer.BadParameter(str(error)) from error
    destination = Destination(open_file, Sidecars(sidecar) if sidecar else None)

    def caption(pictures: Iterator[Path | FailedFile]) -> Generator[FileResult, None, None]:
        return caption_files(
            captioner,
            pictures,
            decoding,
            batch_size=batch_size or usual_batch_size(captioner.device),
            max_pixels=settings.max_pixels,
            tags=tags,
            wording=wording,
        )

    captioned = failed = 0
    with exit_on(OutputError, OSError), closing(open_file), _stop_on_signals() as stop:
        print_note(f"watching {', '.join(map(shown_path, folders))}; Ctrl-C ends it")
        for pictures in watch_folders(folders, settle=settle, stop=stop):
            done, bad = _caption_arrived(pictures, caption, destination, stop)
            captioned, failed = captioned + done, failed + bad
    print_note(f"{captioned:,} pictures captioned, {failed:,} failed")


def _caption_arrived(
    pictures: list[Path],
    caption: Callable[[Iterator[Path | FailedFile]], Generator[FileResult, None, None]],
    destination: Destination,
    stop: Event,
) -> tuple[int, int]:
    """Caption pictures, and return how many were captioned and how many failed.

    A failure leaves no row: the picture may not have been whole, or be mended.
    """
    captioned = failed = 0
    output = destination.output
    planned = destination.plan(pictures)
    with closing(caption(each.file for each in planned)) as results:
        for each, result in zip(planned, results, strict=True):
            if isinstance(result, CaptionedFile):
                reason = destination.write(each, result)
                if each.row:
                    output.done[output.name(result.path)] += 1
            else:
                reason = result.reason
            if reason is None:
                captioned += 1
            else:
                failed += 1
                print_error(f"{shown_path(result.path)}: {reason}")
            if stop.is_set():
                break
    return captioned, failed


@contextmanager
def _stop_on_signals() -> Iterator[Event]:
    """Yield an event that Ctrl-C sets, and the end of a service; the second time, they kill."""
    stop = Event()

    def handle(number: int, _: object) -> None:
        stop.set()
        signal.signal(number, before[signal.Signals(number)])

    signals = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in signals}
    for number in signals:
        signal.signal(number, handle)
    try:
        yield stop
    finally:
        for number in signals:
            signal.signal(number, before[number])
