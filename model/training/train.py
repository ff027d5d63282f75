"""Train by a recipe: start or resume a run, and say what is kept if it is interrupted."""

import os
from pathlib import Path

from model.reporting.progress import make_console
from model.training.recipe import Recipe
from model.training.run import Run, check_recipe, kept
from model.training.trainer import TaskType, Trainer

__all__ = ["train"]


def train(
    task_type: TaskType[Recipe], recipe: Recipe, output: Path | None, *, resume: bool
) -> Path:
    """Train from a folder's checkpoint if there is one and it is wanted, else from the beginning.

    Args:
        task_type: makes the task of a recipe.
        recipe: what to train.
        output: the run's folder; None is `runs/` and the recipe's name.
        resume: whether to use the checkpoint in that folder.

    Returns:
        The folder of the bundle that was written.

    Raises:
        ValueError: the recipe or its data cannot be used, or are not those of the checkpoint.
        OSError: a file that the recipe names is missing or cannot be read.
    """
    folder = output or Path("runs") / recipe.name
    try:
        return _train(task_type, recipe, folder, resume=resume and Run.has_checkpoint(folder))
    except KeyboardInterrupt:
        if os.environ.get("RANK", "0") == "0":  # torchrun's number of the main process
            console = make_console()
            if console.is_interactive:
                console.print()  # after the terminal's ^C
            console.print(f"interrupted: {kept(folder, recipe)}")
        raise


def _train(task_type: TaskType[Recipe], recipe: Recipe, folder: Path, *, resume: bool) -> Path:
    if resume:
        # Before the main process writes anything, so that all processes see the same recipe.
        check_recipe(folder, recipe)
    trainer = Trainer(task_type, recipe, folder)
    if resume:
        trainer.resume()
        trainer.console.print(f"resuming from step {trainer.step:,} of {trainer.total_steps:,}")
    else:
        # Otherwise this run, if interrupted early, would later resume from the one it replaces.
        trainer.run.forget()
    # Only now: the recipe in the folder is always the one of the checkpoint there.
    trainer.run.describe(recipe)
    trainer.fit()
    return trainer.save()
