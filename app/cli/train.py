"""`unrolled train`: train a captioner or a language model from a recipe."""

from pathlib import Path
from typing import Annotated

import typer

from app.cli.terminal import require_extra, told

__all__ = ["train"]

train = typer.Typer(help="Train a model.", no_args_is_help=True)


@train.command("captioner")
def train_captioner(
    *,
    config: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="The recipe.")],
    output: Annotated[Path | None, typer.Option(help="Folder of the run.")] = None,
    seed: Annotated[int | None, typer.Option(help="In place of the recipe's own.")] = None,
    resume: Annotated[bool, typer.Option(help="Go on where a run was cut off.")] = True,
) -> None:
    """Train a captioner as a recipe says."""
    with require_extra("training"):
        from model.training.captioner.trainer import main  # noqa: PLC0415
    with told(ValueError, OSError):
        main(config, output, seed=seed, resume=resume)


@train.command("text")
def train_text(
    *,
    config: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="The recipe.")],
    output: Annotated[Path | None, typer.Option(help="Folder of the run.")] = None,
    seed: Annotated[int | None, typer.Option(help="In place of the recipe's own.")] = None,
    resume: Annotated[bool, typer.Option(help="Go on where a run was cut off.")] = True,
) -> None:
    """Train a language model as a recipe says."""
    with require_extra("training"):
        from model.training.language_model.trainer import main  # noqa: PLC0415
    with told(ValueError, OSError):
        main(config, output, seed=seed, resume=resume)
