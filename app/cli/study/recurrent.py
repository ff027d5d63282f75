"""`unrolled study`: experiments with networks, small enough for a laptop."""

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from app.cli.loading import load_language_model
from app.cli.options import DeviceName, ModelName, Weights, settings_from
from app.cli.terminal import exit_on, require_extra
from model.text.ngram import Smoothing

if TYPE_CHECKING:
    from model.studies.report import StudyReport

__all__ = ["study"]

Value = TypeVar("Value")

# Those that the page offers.
_PHOTOGRAPHS = Path(__file__).parents[1] / "web" / "photographs"


class _Precision(StrEnum):
    """Precision of training; bfloat16 is faster on processors that support it."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"


class _TrainingDevice(StrEnum):
    """Where to train; auto prefers a GPU."""

    AUTO = "auto"
    CPU = "cpu"


study = typer.Typer(help="Run experiments with networks.", no_args_is_help=True)

Parameters = Annotated[int, typer.Option(min=1, help="Parameters of each network, approximately.")]

Parts = Annotated[
    str, typer.Option(help="The parts to run, separated by commas; by default all of them.")
]
Seeds = Annotated[int, typer.Option(min=1, help="How many times each measurement is repeated.")]
Epochs = Annotated[int, typer.Option(min=1, help="Epochs of each training.")]
Seed = Annotated[int, typer.Option(min=0, help="The first random seed.")]
Output = Annotated[Path, typer.Option(help="The folder to write the report to.")]


@study.command("activations")
def study_activations(
    *,
    parts: Parts = "",
    output: Output = Path("runs/activations"),
    seeds: Seeds = 5,
    epochs: Epochs = 15,
    seed: Seed = 1,
) -> None:
    """Compare activation functions: values, saturation, zigzag, dead units, convergence.

    The parts are values, saturation, zigzag, dead and convergence.
    """
    with require_extra("training"):
        from model.studies.activation_study import ActivationStudySettings  # noqa: PLC0415
        from model.studies.activation_study import study_activations as measure  # noqa: PLC0415
    with exit_on(ValueError, OSError):
        settings = ActivationStudySettings(_names(parts), seeds=seeds, epochs=epochs, seed=seed)
        _report(measure(settings, report_progress=_print_progress), output)


@study.command("cells")
def study_cells(
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
    layers: Annotated[int, typer.Option(min=1, max=16, help="Layers of each network.")] = 1,
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
    seed: Annotated[int, typer.Option(min=0, help="The random seed.")] = 1,
) -> None:
    """Train every cell with the same number of parameters, compare with n-grams, write a report.

    To continue an interrupted study, run the same command again.
    """
    rates = _numbers("--learning-rates", learning_rates, float)
    with require_extra("training"):
        from model.studies.cells import CellStudySettings  # noqa: PLC0415
        from model.studies.cells import study_cells as compare  # noqa: PLC0415
    with exit_on(ValueError, OSError):
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
        report = compare(settings, output, report_progress=_print_progress)
    report.write(output)
    typer.echo(report.as_markdown())


@study.command("gradients")
def study_gradients(
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
    output: Annotated[Path, typer.Option(help="The folder to write the report to.")] = Path(
        "runs/gradients"
    ),
    cells: Annotated[
        str | None, typer.Option(help="The cells to measure, separated by commas; by default all.")
    ] = None,
    parameters: Parameters = 350_000,
    layers: Annotated[int, typer.Option(min=1, max=16, help="Layers of new networks.")] = 1,
    steps: Annotated[int, typer.Option(min=1, max=5000, help="How many steps to look back.")] = 100,
    rows: Annotated[int, typer.Option(min=1, help="How many places to look back from.")] = 64,
    radii: Annotated[
        str, typer.Option(help="Spectral radii for the RNN, separated by commas.")
    ] = "0.5,1,1.5",
    training_steps: Annotated[
        int, typer.Option(min=0, help="Steps to train with and without clipping; 0: none.")
    ] = 200,
    seed: Annotated[int, typer.Option(min=0, help="The random seed.")] = 1,
) -> None:
    """Measure how gradients vanish and explode on their way back, and write a report.

    Measures the networks of a study of cells (--runs), a bundle, or new networks on --corpus.
    """
    numbers = _numbers("--radii", radii, float)
    with require_extra("training"):
        from model.studies.gradients import GradientStudySettings  # noqa: PLC0415
        from model.studies.gradients import study_gradients as measure  # noqa: PLC0415
    with exit_on(ValueError, OSError):
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
        report = measure(settings, report_progress=_print_progress)
    report.write(output)
    typer.echo(report.as_markdown())


@study.command("closing")
def study_closing(
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
    output: Annotated[Path, typer.Option(help="The folder to write the report to.")] = Path(
        "runs/closing"
    ),
    weights: Weights = None,
    device: DeviceName = None,
) -> None:
    """Measure how surely brackets are closed, by how long ago they were opened; write a report.

    Compares a language model of characters with n-grams of the training part of its corpus, on the
    validation part.
    """
    numbers = _numbers("--orders", orders, int)
    settings = settings_from(weights=weights, device=device)
    with require_extra("training"):
        from model.evaluation.language_model import read_corpus  # noqa: PLC0415
        from model.studies.closing import study_closing as measure  # noqa: PLC0415
    with exit_on(ValueError, OSError):
        language_model = load_language_model(model, settings)
        text = read_corpus(corpus, language_model)
        report = measure(
            language_model, text, name=corpus.stem, orders=numbers, smoothing=smoothing
        )
        report.write(output)
    typer.echo(report.as_markdown())


@study.command("sequences")
def study_sequences(
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
    output: Annotated[Path, typer.Option(help="The folder to write the report to.")] = Path(
        "runs/sequences"
    ),
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
    seed: Annotated[int, typer.Option(min=0, help="The first random seed.")] = 1,
) -> None:
    """Learn labels of sequences, a label a step and sequences to sequences, and write a report.

    Whose text is this? Where does a shape move? What comes next? And dates and sums rewritten, in
    order or reversed, with attention and without.
    """
    with require_extra("training"):
        from model.studies.sequences.study import (  # noqa: PLC0415
            SequenceStudySettings,
        )
        from model.studies.sequences.study import study_sequences as learn  # noqa: PLC0415
    with exit_on(ValueError, OSError):
        settings = SequenceStudySettings(
            tasks=_names(tasks),
            texts=tuple(texts or ()),
            cell=cell,
            units=units,
            steps=training_steps,
            seeds=seeds,
            length=length,
            characters=characters,
            seed=seed,
        )
        report = learn(settings, report_progress=_print_progress)
    report.write(output)
    typer.echo(report.as_markdown())


@study.command("normalization")
def study_normalization(
    *,
    parts: Parts = "",
    output: Output = Path("runs/normalization"),
    seeds: Seeds = 5,
    epochs: Epochs = 5,
    seed: Seed = 1,
) -> None:
    """Study batch normalization: its equations, both modes, and what it forgives.

    The parts are equations, modes, averages, forgiveness and place.
    """
    with require_extra("training"):
        from model.studies.normalization_study import (  # noqa: PLC0415
            NormalizationStudySettings,
        )
        from model.studies.normalization_study import (  # noqa: PLC0415
            study_normalization as measure,
        )
    with exit_on(ValueError, OSError):
        settings = NormalizationStudySettings(_names(parts), seeds=seeds, epochs=epochs, seed=seed)
        _report(measure(settings, report_progress=_print_progress), output)


@study.command("preprocessing")
def study_preprocessing(
    *,
    photographs: Annotated[
        Path, typer.Option(exists=True, file_okay=False, help="A folder of photographs.")
    ] = _PHOTOGRAPHS,
    parts: Parts = "",
    output: Output = Path("runs/preprocessing"),
    seeds: Seeds = 5,
    epochs: Epochs = 5,
    seed: Seed = 1,
) -> None:
    """Compare ways to preprocess pictures: centred, scaled, PCA, whitened.

    The parts are photographs, pixels and training.
    """
    with require_extra("training"):
        from model.studies.preprocessing_study import (  # noqa: PLC0415
            PreprocessingStudySettings,
        )
        from model.studies.preprocessing_study import (  # noqa: PLC0415
            study_preprocessing as measure,
        )
    with exit_on(ValueError, OSError):
        settings = PreprocessingStudySettings(
            photographs, _names(parts), seeds=seeds, epochs=epochs, seed=seed
        )
        _report(measure(settings, report_progress=_print_progress), output)


def _report(report: "StudyReport", output: Path) -> None:
    report.write(output)
    typer.echo(report.as_markdown(), nl=False)


def _names(given: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in given.split(",") if name.strip())


def _numbers(option: str, given: str, kind: Callable[[str], Value]) -> tuple[Value, ...]:
    try:
        return tuple(kind(number) for number in _names(given))
    except ValueError as error:
        raise typer.BadParameter(
            f"{option} must be numbers separated by commas, not {given}"
        ) from error


def _print_progress(line: str) -> None:
    typer.echo(line, err=True)
