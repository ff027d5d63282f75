"""`unrolled finalize`: add to a bundle what can only be made once it is trained."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from app.cli.options import BeamSizes, Pictures, read_beam_sizes
from app.cli.terminal import exit_on, require_extra
from app.settings import read_settings
from model.bundle.discovery import captioner_folder
from model.runtime.options import Device

__all__ = ["finalize"]

finalize = typer.Typer(help="Complete a trained model.", no_args_is_help=True)


@finalize.command("captioner")
def finalize_captioner(
    weights: Annotated[
        Path | None, typer.Argument(help="A bundle; by default the shipped one.")
    ] = None,
    *,
    dataset: Annotated[
        list[Path],
        typer.Option(
            exists=True, dir_okay=False, help="Captions, as JSON in Karpathy's format; repeatable."
        ),
    ],
    pictures: Pictures,
    golden: Annotated[
        list[Path],
        typer.Option(
            exists=True, dir_okay=False, help="A photograph for the self-test; give 2 or 3."
        ),
    ],
    output: Annotated[Path, typer.Option(help="The folder of the new bundle.")],
    reports: Annotated[
        Path | None,
        typer.Option(help="The folder of the report; by default reports/ next to the bundle."),
    ] = None,
    split: Annotated[
        str, typer.Option(help="A split not trained on, to fit the confidence to.")
    ] = "val",
    training_split: Annotated[
        str, typer.Option(help="The split for the mean picture and the consensus.")
    ] = "train",
    consensus: Annotated[
        bool,
        typer.Option(help="Rerank captions by agreement with the words that people would use."),
    ] = True,
    level: Annotated[
        float,
        typer.Option(
            min=0, max=0.99, help="The share of people's own captions that count as not good."
        ),
    ] = 0.4,
    beam_size: BeamSizes = "1,3,5",
    limit: Annotated[
        int | None, typer.Option(min=1, help="The most pictures to use of a split; by default all.")
    ] = None,
    batch_size: Annotated[
        int, typer.Option(min=1, help="How many pictures to caption at once.")
    ] = 32,
    device: Annotated[Device, typer.Option(help="Where to run; auto prefers a GPU.")] = "auto",
) -> None:
    """Add a consensus, a confidence, a mean picture and a self-test; write a new bundle."""
    beam_sizes = read_beam_sizes(beam_size)
    with require_extra("training"):
        from app.errors import PictureError  # noqa: PLC0415
        from app.pictures.decode import read_picture  # noqa: PLC0415
        from model.captioning.captioner import Captioner  # noqa: PLC0415
        from model.data.karpathy import CaptionDataset  # noqa: PLC0415
        from model.training.finalize.finalize import (  # noqa: PLC0415
            CONSENSUS,
            FinalizeSettings,
            finalize,
        )
    with exit_on(ValueError, OSError, PictureError):
        settings = read_settings()
        captioner = Captioner.load(
            captioner_folder(weights or settings.weights), device, runtime="torch"
        )
        finalized = finalize(
            captioner,
            [CaptionDataset(path, pictures) for path in dataset],
            [read_picture(path, settings.max_pixels).image for path in golden],
            FinalizeSettings(
                split=split,
                training_split=training_split,
                consensus=CONSENSUS if consensus else None,
                beam_sizes=beam_sizes,
                level=level,
                limit=limit,
                batch_size=batch_size,
            ),
        )
        finalized.write(output)
        finalized.report.write(reports or output.parent / "reports")
    typer.echo(finalized.report.as_markdown())


@finalize.command("tags")
def finalize_tags(
    weights: Annotated[
        Path | None, typer.Argument(help="A bundle; by default the shipped one.")
    ] = None,
    *,
    dataset: Annotated[
        list[Path],
        typer.Option(
            exists=True, dir_okay=False, help="Captions, as JSON in Karpathy's format; repeatable."
        ),
    ],
    pictures: Pictures,
    split: Annotated[
        str, typer.Option(help="A split not trained on, to fit the probabilities to.")
    ] = "val",
    limit: Annotated[
        int | None, typer.Option(min=1, help="The most pictures to use of a split; by default all.")
    ] = None,
    batch_size: Annotated[
        int, typer.Option(min=1, help="How many pictures to look at at once.")
    ] = 32,
    device: Annotated[Device, typer.Option(help="Where to run; auto prefers a GPU.")] = "auto",
) -> None:
    """Calibrate the tags of a captioner that is complete otherwise; its config.json changes."""
    with require_extra("training"):
        from model.bundle.read import load_bundle  # noqa: PLC0415
        from model.bundle.write import write_config  # noqa: PLC0415
        from model.captioning.captioner import Captioner  # noqa: PLC0415
        from model.config import CaptionerConfig  # noqa: PLC0415
        from model.data.karpathy import CaptionDataset  # noqa: PLC0415
        from model.training.finalize.tagging import calibrate_tags  # noqa: PLC0415
    with exit_on(ValueError, OSError):
        folder = captioner_folder(weights or read_settings().weights)
        bundle = load_bundle(folder, CaptionerConfig)
        tagging = calibrate_tags(
            Captioner.from_bundle(bundle, device),
            [CaptionDataset(path, pictures) for path in dataset],
            split=split,
            limit=limit,
            batch_size=batch_size,
        )
        if tagging is None:
            raise ValueError(f"{folder} has no word detector: train one with detected_words")
        write_config(folder, replace(bundle.config, tagging=tagging))
    typer.echo(
        f"probability = sigmoid({tagging.evidence:.4g} evidence {tagging.usual:+.4g} usual "
        f"{tagging.intercept:+.4g})"
    )
