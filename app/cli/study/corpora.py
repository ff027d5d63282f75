"""Studies of recurrent networks on a text file: cells, gradients and brackets."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from app.cli.loading import load_language_model
from app.cli.options import DeviceName, ModelName, Weights, settings_from
from app.cli.study.options import (
    Layers,
    Output,
    Parameters,
    Seed,
    print_progress,
    read_names,
    read_numbers,
    show,
)
from app.cli.terminal import exit_on, require_extra
from model.text.ngram import Smoothing

__all__ = ["cells", "closing", "gradients"]


class _Precision(StrEnum):
    """Precision of training; bfloat16 is faster on processors that support it."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"


class _TrainingDevice(StrEnum):
    """Where to train; auto prefers a GPU."""

    AUTO = "auto"
    CPU = "cpu"


def cells(
    *,
    corpus: Annotated[
        Path, typer.Option(exists=True, dir_okay=False, help="A text file in UTF-8.")
    ],
    output: Annotated[Path, typer.Option(help="The folder of the report and the runs.")] = Path(
        "runs/cells"
    ),
    cells: Annotated[
        str, typer.Option(help="The cells to compare, separated by commas.")
    ] = "rnn,lstm,gru,gru-cho,mut1,mut2,mut3",
    parameters: Parameters = 350_000,
    layers: Layers = 1,
    epochs: Annotated[int, typer.Option(min=1, help="Epochs to train.")] = 10,
    characters: Annotated[
        int | None, typer.Option(min=1, help="How many characters to train on; by default all.")
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Characters to backpropagate through.")] = 64,
    streams: Annotated[int, typer.Option(min=1, help="Sequences in a batch.")] = 64,
    learning_rates: Annotated[
        str, typer.Option(help="Learning rates to try; the best is kept.")
    ] = "3e-3,1e-2",
    order: Annotated[
        int,
        typer.Option(
            min=0, max=20, help="The highest order of the n-gram models to compare with; 0: none."
        ),
    ] = 20,
    precision: Annotated[
        _Precision, typer.Option(help="The precision of training.")
    ] = _Precision.FLOAT32,
    device: Annotated[
        _TrainingDevice, typer.Option(help="Where to train; auto prefers a GPU.")
    ] = _TrainingDevice.AUTO,
    seed: Seed = 1,
) -> None:
    """Train every cell with the same number of parameters, compare with n-grams, write a report.

    To continue an interrupted study, run the same command again.
    """
    rates = read_numbers("--learning-rates", learning_rates, float)
    with require_extra("training"):
        from model.studies import cells as study  # noqa: PLC0415
    with exit_on(ValueError, OSError):
        settings = study.CellStudySettings(
            corpus,
            cells=read_names(cells),
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
        show(study.study_cells(settings, output, report_progress=print_progress), output)


def gradients(
    weights: Annotated[
        Path | None, typer.Argument(exists=True, file_okay=False, help="A bundle to measure.")
    ] = None,
    *,
    corpus: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="A text file in UTF-8.")
    ] = None,
    runs: Annotated[
        Path | None,
        typer.Option(
            exists=True, file_okay=False, help="The output folder of `unrolled study cells`."
        ),
    ] = None,
    output: Output = Path("runs/gradients"),
    cells: Annotated[
        str | None, typer.Option(help="The cells to measure, separated by commas; by default all.")
    ] = None,
    parameters: Parameters = 350_000,
    layers: Layers = 1,
    steps: Annotated[int, typer.Option(min=1, max=5000, help="How many steps to look back.")] = 100,
    rows: Annotated[int, typer.Option(min=1, help="How many places to look back from.")] = 64,
    radii: Annotated[
        str, typer.Option(help="Spectral radii for the RNN, separated by commas.")
    ] = "0.5,1,1.5",
    training_steps: Annotated[
        int, typer.Option(min=0, help="Steps to train with and without clipping; 0: none.")
    ] = 200,
    seed: Seed = 1,
) -> None:
    """Measure how gradients vanish and explode on their way back, and write a report.

    Measures the networks of a study of cells (--runs), a bundle, or new networks on --corpus.
    """
    numbers = read_numbers("--radii", radii, float)
    with require_extra("training"):
        from model.studies import gradients as study  # noqa: PLC0415
    with exit_on(ValueError, OSError):
        settings = study.GradientStudySettings(
            corpus=corpus,
            runs=runs,
            weights=weights,
            cells=None if cells is None else read_names(cells),
            parameters=parameters,
            layers=layers,
            steps=steps,
            rows=rows,
            radii=numbers,
            training_steps=training_steps,
            seed=seed,
        )
        show(study.study_gradients(settings, report_progress=print_progress), output)


def closing(
    model: ModelName,
    *,
    corpus: Annotated[
        Path,
        typer.Option(exists=True, dir_okay=False, help="The text file that it was trained on."),
    ],
    orders: Annotated[
        str, typer.Option(help="Orders of the n-grams, separated by commas.")
    ] = "5,10,20",
    smoothing: Annotated[Smoothing, typer.Option(help="Of the n-grams.")] = "kneser-ney",
    output: Output = Path("runs/closing"),
    weights: Weights = None,
    device: DeviceName = None,
) -> None:
    """Measure how surely brackets are closed, by how long ago they were opened; write a report.

    Compares a language model of characters with n-grams of the training part of its corpus, on the
    validation part.
    """
    numbers = read_numbers("--orders", orders, int)
    settings = settings_from(weights=weights, device=device)
    with require_extra("training"):
        from model.evaluation.language_model import read_corpus  # noqa: PLC0415
        from model.studies import closing as study  # noqa: PLC0415
    with exit_on(ValueError, OSError):
        language_model = load_language_model(model, settings)
        text = read_corpus(corpus, language_model)
        report = study.study_closing(
            language_model, text, name=corpus.stem, orders=numbers, smoothing=smoothing
        )
        show(report, output)
