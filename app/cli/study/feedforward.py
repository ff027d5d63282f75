"""Studies of the lecture's first half: activation functions, preprocessing, batch normalization."""

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
    show,
)
from app.cli.terminal import exit_on, require_extra

__all__ = ["activations", "normalization", "preprocessing"]

# Those that the page offers.
_PHOTOGRAPHS = Path(__file__).parents[2] / "web" / "photographs"


def activations(
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
        from model.studies import activation_study as study  # noqa: PLC0415
    with exit_on(ValueError, OSError):
        settings = study.ActivationStudySettings(
            read_names(parts), seeds=seeds, epochs=epochs, seed=seed
        )
        show(study.study_activations(settings, report_progress=print_progress), output)


def preprocessing(
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
        from model.studies import preprocessing_study as study  # noqa: PLC0415
    with exit_on(ValueError, OSError):
        settings = study.PreprocessingStudySettings(
            read_names(parts), photographs=photographs, seeds=seeds, epochs=epochs, seed=seed
        )
        show(study.study_preprocessing(settings, report_progress=print_progress), output)


def normalization(
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
        from model.studies import normalization_study as study  # noqa: PLC0415
    with exit_on(ValueError, OSError):
        settings = study.NormalizationStudySettings(
            read_names(parts), seeds=seeds, epochs=epochs, seed=seed
        )
        show(study.study_normalization(settings, report_progress=print_progress), output)
