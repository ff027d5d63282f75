"""Studies of small recurrent networks, which make their own data or read any text."""

from pathlib import Path
from typing import Annotated

import typer

from app.cli.study.options import (
    Epochs,
    Output,
    Parts,
    Seed,
    Seeds,
    print_progress,
    read_names,
    read_numbers,
    show,
)
from app.cli.terminal import exit_on, require_extra

__all__ = ["hello", "sequences", "truncation"]


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
