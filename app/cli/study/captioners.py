"""A study of captioners."""

from pathlib import Path
from typing import Annotated

import typer

from app.cli.study.options import Output, Parts, print_progress, read_names, show
from app.cli.terminal import exit_on, require_extra
from app.settings import read_settings
from model.bundle.discovery import captioner_folder

__all__ = ["captioning"]


def captioning(
    weights: Annotated[
        list[Path] | None,
        typer.Argument(
            exists=True, file_okay=False, metavar="[BUNDLE]...", help="By default the shipped one."
        ),
    ] = None,
    *,
    parts: Parts = "",
    output: Output = Path("runs/captioning"),
    image: Annotated[
        Path, typer.Option(exists=True, dir_okay=False, help="A photograph to caption.")
    ] = Path("examples/chelsea.jpg"),
    other: Annotated[
        Path, typer.Option(exists=True, dir_okay=False, help="Another, to exchange it for.")
    ] = Path("examples/coffee.jpg"),
    dataset: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="Captions, as JSON in Karpathy's format."),
    ] = None,
    pictures: Annotated[
        list[str] | None,
        typer.Option(help="A folder, tar file or glob with its pictures; repeatable."),
    ] = None,
    split: Annotated[str, typer.Option(help="The split to measure: train, val or test.")] = "val",
) -> None:
    """Show what a picture adds to each step of a caption, seen once or looked at for each word.

    The parts are walk (one photograph, step by step) and gain (what the pictures of a data set are
    worth to people's captions, by the word's place).
    """
    with require_extra("training"):
        from model.captioning.captioner import Captioner  # noqa: PLC0415
        from model.data.karpathy import CaptionDataset  # noqa: PLC0415
        from model.studies import captioning_study as study  # noqa: PLC0415
    with exit_on(ValueError, OSError):
        settings = study.CaptioningStudySettings(
            read_names(parts),
            picture=image,
            other=other,
            dataset=None if dataset is None else CaptionDataset(dataset, pictures or []),
            split=split,
        )
        captioners = [
            Captioner.load(captioner_folder(folder), "cpu", runtime="torch")
            for folder in weights or [read_settings().weights]
        ]
        report = study.study_captioning(captioners, settings, report_progress=print_progress)
        show(report, output)
