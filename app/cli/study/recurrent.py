"""Studies of recurrent networks."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from app.cli.loading import load_language_model
from app.cli.options import DeviceName, ModelName, Weights, settings_from
from app.cli.study.options import (
    Epochs,
    Layers,
    Output,
    Parameters,
    Parts,
    Seed,
    Seeds,
    print_progress,
    read_names,
    read_numbers,
    show,
)
from app.cli.terminal import exit_on, require_extra
from model.text.ngram import Smoothing

__all__ = ["cells", "closing", "gradients", "hello", "sequences", "truncation"]


class _Precision(StrEnum):
    """Precision of training; bfloat16 is faster on processors that support it."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"


class _TrainingDevice(StrEnum):
    """Where to train; auto prefers a GPU."""

    AUTO = "auto"
    CPU = "cpu"


def hello(
    *,
    parts: Parts = "",
    output: Output = Path("runs/hello"),
    seeds: Seeds = 5,
    epochs: Epochs = 200,
    seed: Seed = 1,
) -> None:
    """Learn "hello" and "cat sat on mat", and show every number on the way; start here.

    The parts are characters, words and temperature.
    """
    with require_extra("training"):
        from model.studies import hello_study as study  # noqa: PLC0415
    with exit_on(ValueError, OSError):
        settings = study.HelloStudySettings(
            read_names(parts), seeds=seeds, epochs=epochs, seed=seed
        )
        show(study.study_hello(settings, report_progress=print_progress), output)


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


def truncation(
    *,
    parts: Parts = "",
    output: Output = Path("runs/truncation"),
    cell: Annotated[str, typer.Option(help="The cell of every network.")] = "gru",
    steps: Annotated[
        str, typer.Option(help="Characters to backpropagate through, separated by commas.")
    ] = "4,16,64",
    distances: Annotated[
        str, typer.Option(help="Characters from bracket to bracket, separated by commas.")
    ] = "5,20,50",
    training_steps: Annotated[int, typer.Option(min=1, help="Steps of each training.")] = 150,
    seeds: Seeds = 3,
    seed: Seed = 1,
) -> None:
    """Measure how far back gradients must go to learn which bracket to close.

    The parts are alone (each network sees brackets of one distance) and mixed (of all).
    """
    lengths = read_numbers("--steps", steps, int)
    apart = read_numbers("--distances", distances, int)
    with require_extra("training"):
        from model.studies import truncation_study as study  # noqa: PLC0415
    with exit_on(ValueError, OSError):
        settings = study.TruncationStudySettings(
            read_names(parts),
            cell=cell,
            steps=lengths,
            distances=apart,
            updates=training_steps,
            seeds=seeds,
            seed=seed,
        )
        show(study.study_truncation(settings, report_progress=print_progress), output)


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


def sequences(
    texts: Annotated[
        list[Path] | None,
        typer.Argument(
            exists=True,
            dir_okay=False,
            metavar="[TEXT]...",
            help="Texts in UTF-8, each of another writer; without any, the shipped writers write.",
        ),
    ] = None,
    *,
    output: Output = Path("runs/sequences"),
    tasks: Annotated[
        str, typer.Option(help="What to study, separated by commas.")
    ] = "writer,clip,next,frames,date,sum",
    cell: Annotated[str, typer.Option(help="The cell of every network.")] = "lstm",
    units: Annotated[int, typer.Option(min=1, help="Units of every network.")] = 64,
    training_steps: Annotated[
        int, typer.Option(min=2, help="Steps of training; labels take half as many.")
    ] = 600,
    length: Annotated[int, typer.Option(min=2, help="Most characters to read at once.")] = 64,
    characters: Annotated[
        int, typer.Option(min=1, help="How many characters each shipped writer writes.")
    ] = 20_000,
    seeds: Annotated[int, typer.Option(min=1, help="How often to repeat everything.")] = 3,
    seed: Seed = 1,
) -> None:
    """Learn labels of sequences, a label a step and sequences to sequences, and write a report.

    Whose text is this? Where does a shape move? What comes next? And dates and sums rewritten, in
    order or reversed, with attention and without.
    """
    with require_extra("training"):
        from model.studies.sequences import study  # noqa: PLC0415
    with exit_on(ValueError, OSError):
        settings = study.SequenceStudySettings(
            tasks=read_names(tasks),
            texts=tuple(texts or ()),
            cell=cell,
            units=units,
            steps=training_steps,
            seeds=seeds,
            length=length,
            characters=characters,
            seed=seed,
        )
        show(study.study_sequences(settings, report_progress=print_progress), output)
