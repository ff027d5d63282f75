"""`unrolled finalize`: what a bundle can only be given once it is trained.

Knows options; `model.training.finalize.finalize` does the work, and is imported only then.
"""

from pathlib import Path
from typing import Annotated

import typer

from app.cli.options import BeamSizes, Pictures, read_beam_sizes
from app.cli.terminal import require_extra, told
from app.settings import Device, read_settings
from model.bundle.discovery import captioner_folder

__all__ = ["finalize"]

finalize = typer.Typer(help="Give a trained model what it lacks.", no_args_is_help=True)


@finalize.command("captioner")
def finalize_captioner(
    weights: Annotated[Path | None, typer.Argument(help="A bundle; else the shipped one.")] = None,
    *,
    dataset: Annotated[
        list[Path],
        typer.Option(exists=True, dir_okay=False, help="Karpathy-format JSON; repeatable."),
    ],
    pictures: Pictures,
    golden: Annotated[
        list[Path],
        typer.Option(
            exists=True, dir_okay=False, help="A photograph for the self-test; repeatable, 2 or 3."
        ),
    ],
    output: Annotated[Path, typer.Option(help="Folder of the new bundle.")],
    reports: Annotated[
        Path | None, typer.Option(help="Folder of the report; else reports/ beside the bundle.")
    ] = None,
    split: Annotated[str, typer.Option(help="Not trained on: gives the confidence.")] = "val",
    training_split: Annotated[
        str, typer.Option(help="Gives the mean picture and the consensus.")
    ] = "train",
    consensus: Annotated[
        bool, typer.Option(help="Order captions by what people said of pictures that look alike.")
    ] = True,
    level: Annotated[
        float, typer.Option(min=0, max=0.99, help="Share of people's captions that are not good.")
    ] = 0.4,
    beam_size: BeamSizes = "1,3,5",
    limit: Annotated[int | None, typer.Option(min=1, help="Pictures of a split; else all.")] = None,
    batch_size: Annotated[int, typer.Option(min=1)] = 32,
    device: Annotated[Device, typer.Option()] = "auto",
) -> None:
    """Give a captioner its consensus, confidence, mean picture and self-test, as a new bundle."""
    beam_sizes = read_beam_sizes(beam_size)
    with require_extra("training"):
        from app.errors import PictureError  # noqa: PLC0415
        from app.pictures.decode import read_picture  # noqa: PLC0415
        from model.captioning.captioner import Captioner  # noqa: PLC0415
        from model.config import ConsensusConfig  # noqa: PLC0415
        from model.data.karpathy import CaptionDataset  # noqa: PLC0415
        from model.training.finalize.finalize import FinalizeSettings  # noqa: PLC0415
        from model.training.finalize.finalize import finish as finalize_bundle  # noqa: PLC0415
    with told(ValueError, OSError, PictureError):
        settings = read_settings()
        captioner = Captioner.load(captioner_folder(weights or settings.weights), device)
        finalized = finalize_bundle(
            captioner,
            [CaptionDataset(path, pictures) for path in dataset],
            [read_picture(path, settings.max_pixels).image for path in golden],
            FinalizeSettings(
                split=split,
                training_split=training_split,
                consensus=ConsensusConfig() if consensus else None,
                beam_sizes=beam_sizes,
                level=level,
                limit=limit,
                batch_size=batch_size,
            ),
        )
        finalized.write(output)
        finalized.report.write(reports or output.parent / "reports")
    typer.echo(finalized.report.as_markdown())
