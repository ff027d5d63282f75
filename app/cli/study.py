"""`unrolled study`: what sets recurrent cells apart, measured on a text of one's own.

Knows options; `model.studies` does the work, and is imported only then.
"""

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from app.cli.terminal import require_extra, told

__all__ = ["study"]

Value = TypeVar("Value")


class Precision(StrEnum):
    """Of training; bfloat16 is quicker where the processor knows it."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"


class TrainingDevice(StrEnum):
    """Where training runs; auto prefers a GPU."""

    AUTO = "auto"
    CPU = "cpu"


study = typer.Typer(help="Compare recurrent cells.", no_args_is_help=True)

Parameters = Annotated[int, typer.Option(min=1, help="Of each network, as nearly as may be.")]


@study.command("cells")
def study_cells(
    *,
    corpus: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="Text in UTF-8.")],
    output: Annotated[Path, typer.Option(help="Folder of the report and runs.")] = Path(
        "runs/cells"
    ),
    cells: Annotated[str, typer.Option(help="Which, with commas.")] = "rnn,lstm,gru,mut1,mut2,mut3",
    parameters: Parameters = 350_000,
    layers: Annotated[int, typer.Option(min=1, max=16)] = 1,
    epochs: Annotated[int, typer.Option(min=1)] = 10,
    characters: Annotated[int | None, typer.Option(min=1, help="That train; else all.")] = None,
    steps: Annotated[int, typer.Option(min=1, help="Characters the gradient goes back.")] = 64,
    streams: Annotated[int, typer.Option(min=1, help="Pieces read side by side.")] = 64,
    learning_rates: Annotated[str, typer.Option(help="All tried, the best kept.")] = "3e-3,1e-2",
    order: Annotated[int, typer.Option(min=0, max=20, help="Of the n-grams; 0: none.")] = 20,
    precision: Annotated[Precision, typer.Option()] = Precision.FLOAT32,
    device: Annotated[TrainingDevice, typer.Option()] = TrainingDevice.AUTO,
    seed: Annotated[int, typer.Option(min=0)] = 1,
) -> None:
    """Train every cell at an equal number of parameters, beside n-grams; write the report.

    Where a study was cut off, the same command goes on.
    """
    rates = _numbers("--learning-rates", learning_rates, float)
    with require_extra("training"):
        from model.studies.cells import CellStudySettings  # noqa: PLC0415
        from model.studies.cells import study_cells as compare  # noqa: PLC0415
    with told(ValueError, OSError):
        settings = CellStudySettings(
            corpus,
            cells=_names(cells),
            parameters=parameters,
            layers=layers,
            epochs=epochs,
            streams=streams,
            steps=steps,
            learning_rates=rates,
            characters=characters,
            order=order,
            precision=precision.value,
            device=device.value,
            seed=seed,
        )
        found = compare(settings, output, tell=_tell)
    found.write(output)
    typer.echo(found.as_markdown())


@study.command("gradients")
def study_gradients(
    weights: Annotated[
        Path | None, typer.Argument(exists=True, file_okay=False, help="A bundle to look into.")
    ] = None,
    *,
    corpus: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Text in UTF-8.")
    ] = None,
    runs: Annotated[
        Path | None,
        typer.Option(exists=True, file_okay=False, help="Folder of `unrolled study cells`."),
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder of the report.")] = Path("runs/gradients"),
    cells: Annotated[
        str | None, typer.Option(help="Which, with commas; else all there are.")
    ] = None,
    parameters: Parameters = 350_000,
    layers: Annotated[int, typer.Option(min=1, max=16, help="Of new networks.")] = 1,
    steps: Annotated[int, typer.Option(min=1, max=5000, help="How far back.")] = 100,
    rows: Annotated[int, typer.Option(min=1, help="Places to look back from.")] = 64,
    radii: Annotated[str, typer.Option(help="Spectral radii of the RNN.")] = "0.5,1,1.5",
    training_steps: Annotated[
        int, typer.Option(min=0, help="With and without clipping; 0: none.")
    ] = 200,
    seed: Annotated[int, typer.Option(min=0)] = 1,
) -> None:
    """Measure how gradients vanish and explode on their way back; write the report.

    Looks into the networks of a study of cells (--runs), into a bundle, or into new networks that
    read --corpus.
    """
    numbers = _numbers("--radii", radii, float)
    with require_extra("training"):
        from model.studies.gradients import GradientStudySettings  # noqa: PLC0415
        from model.studies.gradients import study_gradients as measure  # noqa: PLC0415
    with told(ValueError, OSError):
        settings = GradientStudySettings(
            corpus=corpus,
            runs=runs,
            weights=weights,
            cells=None if cells is None else _names(cells),
            parameters=parameters,
            layers=layers,
            steps=steps,
            rows=rows,
            radii=numbers,
            training_steps=training_steps,
            seed=seed,
        )
        found = measure(settings, tell=_tell)
    found.write(output)
    typer.echo(found.as_markdown())


def _names(given: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in given.split(",") if name.strip())


def _numbers(option: str, given: str, kind: Callable[[str], Value]) -> tuple[Value, ...]:
    try:
        return tuple(kind(number) for number in _names(given))
    except ValueError as error:
        raise typer.BadParameter(f"{option} are numbers with commas, not {given}") from error


def _tell(line: str) -> None:
    typer.echo(line, err=True)
