"""`unrolled train`: train a captioner or a language model from a recipe."""

from pathlib import Path
from typing import Annotated

import typer

from app.cli.terminal import exit_on, require_extra

__all__ = ["train"]

train = typer.Typer(help="Train a model.", no_args_is_help=True)


Recipe = Annotated[Path, typer.Option(exists=True, dir_okay=False, help="The recipe, a TOML file.")]
Output = Annotated[
    Path | None, typer.Option(help="The folder of the run; by default runs/ and the recipe's name.")
]
Seed = Annotated[int | None, typer.Option(help="A seed to use instead of the recipe's.")]
Resume = Annotated[bool, typer.Option(help="Continue an interrupted run.")]


@train.command("captioner")
def train_captioner(
    *,
    config: Recipe,
    output: Output = None,
    seed: Seed = None,
    resume: Resume = True,
) -> None:
    """Train a captioner from a recipe."""
    with require_extra("training"):
        from model.training.captioner.task import main  # noqa: PLC0415
    with exit_on(ValueError, OSError):
        main(config, output, seed=seed, resume=resume)


@train.command("text")
def train_text(
    *,
    config: Recipe,
    output: Output = None,
    seed: Seed = None,
    resume: Resume = True,
) -> None:
    """Train a language model from a recipe."""
    with require_extra("training"):
        from model.training.language_model.task import main  # noqa: PLC0415
    with exit_on(ValueError, OSError):
        main(config, output, seed=seed, resume=resume)
