"""Beginning a run, or going on with the one that its folder holds.

Knows what a recipe may change on the way, and what every training's checkpoint holds; knows
nothing of networks or losses.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from rich.console import Console
from torch import nn

from model.training.checkpoint import load_checkpoint, read_progress, save_checkpoint
from model.training.recipe import Recipe, read_recipe
from model.training.run import CHECKPOINT, RECIPE, Run

__all__ = ["Training", "digest", "load_progress", "save_progress", "start_or_resume"]

# What shapes neither the steps taken nor what they are taken on; more epochs, or more patience
# with them, are a wish that comes while a run goes well.
_FREE = (
    *("version", "device", "workers", "checkpoint_minutes", "checkpoint_steps", "feature_cache"),
    *("prompt", "sampling", "decoding", "optimisation.epochs", "optimisation.patience"),
)
_WAYS_OUT = "another --output, or --no-resume to begin anew"


class Training(Protocol):
    """A run that can be begun, gone on with, and kept."""

    run: Run
    accelerator: Accelerator
    console: Console
    optimizer: torch.optim.Optimizer
    step: int
    best: dict[str, float]
    data_digest: str

    @property
    def total_steps(self) -> int:
        """Steps of the whole run."""
        ...

    def modules(self) -> dict[str, nn.Module]:
        """Name what its steps change."""
        ...

    def resume(self) -> None:
        """Go on from the checkpoint."""

    def fit(self) -> None:
        """Train to the end."""

    def save(self) -> Path:
        """Write the bundle, and give its folder."""
        ...


def start_or_resume(
    kind: Callable[[Recipe, Path], Training], recipe: Recipe, folder: Path, *, resume: bool
) -> Path:
    """Train from a folder's checkpoint if there is one and it is wanted, else from the beginning.

    Args:
        kind: makes the training of a recipe in a folder.
        recipe: what to train.
        folder: of the run.
        resume: whether the checkpoint is wanted.

    Returns:
        The folder of the bundle that was written.

    Raises:
        ValueError: the checkpoint is of another recipe, or of other data.
    """
    resume = resume and (folder / CHECKPOINT).exists()
    if resume:
        # Before the main process writes anything, so that all processes see the same recipe.
        _check_recipe(folder, recipe)
    trainer = kind(recipe, folder)
    if resume:
        trainer.resume()
        trainer.console.print(f"going on from step {trainer.step} of {trainer.total_steps}")
    elif trainer.run.main:
        # Whoever resumes this run later must not go on with the one that it replaces.
        trainer.run.checkpoint.unlink(missing_ok=True)
    # Only now: the recipe in the folder is always the one of the checkpoint there.
    trainer.run.describe(recipe)
    trainer.fit()
    return trainer.save()


def save_progress(training: Training, **more: nn.Module) -> None:
    """Write a training's checkpoint, with modules that it needs besides its own."""
    if not training.run.main:
        return
    scaler = training.accelerator.scaler
    progress = {
        "step": training.step,
        "best": training.best,
        "curve": training.run.curve,
        "scaler": scaler.state_dict() if scaler else None,
        "data": training.data_digest,
    }
    modules = training.modules() | more
    save_checkpoint(training.run.checkpoint, modules, training.optimizer, progress)


def load_progress(training: Training, **more: nn.Module) -> None:
    """Restore in place what `save_progress` wrote.

    Raises:
        ValueError: it is no whole checkpoint, or of other data, another network or another
            optimizer.
    """
    path, scaler = training.run.checkpoint, training.accelerator.scaler
    progress = read_progress(path)
    if progress.get("data", training.data_digest) != training.data_digest:  # old ones lack it
        raise ValueError(
            f"{path} was trained on other data, which had the same name: give it back, {_WAYS_OUT}"
        )
    load_checkpoint(path, training.modules() | more, training.optimizer)
    training.step, training.best = progress["step"], progress["best"]
    if scaler and progress["scaler"]:
        scaler.load_state_dict(progress["scaler"])
    training.run.restore(progress["curve"])


def digest(data: Any) -> str:
    """Give a fingerprint of anything that JSON can hold, and of dataclasses."""
    return hashlib.sha256(json.dumps(data, default=asdict).encode()).hexdigest()


def _check_recipe(folder: Path, recipe: Recipe) -> None:
    """Refuse to go on with a run whose recipe was another.

    Raises:
        ValueError: it was; the message says in what.
    """
    try:
        before = _flat(asdict(read_recipe(folder / RECIPE, type(recipe))))
    except FileNotFoundError:
        return
    except ValueError as error:
        raise ValueError(
            f"{folder} holds another kind of run ({error}): give {_WAYS_OUT}"
        ) from error
    now = _flat(asdict(recipe))
    changes = [
        f"{name} was {before.get(name)!r} and is {now.get(name)!r}"
        for name in before | now
        if before.get(name) != now.get(name)
        and not any(f"{name}.".startswith(f"{free}.") for free in _FREE)
    ]
    if changes:
        raise ValueError(
            f"{folder} holds a run of another recipe ({', '.join(changes)}): "
            f"give the old values back, {_WAYS_OUT}"
        )


def _flat(part: Any, name: str = "") -> dict[str, Any]:
    """Name every value of a recipe by its way down: `data.0.weight`."""
    if isinstance(part, tuple):
        part = dict(enumerate(part))
    if not isinstance(part, dict):
        return {name: part}
    flat: dict[str, Any] = {}
    for key, inner in part.items():
        flat |= _flat(inner, f"{name}.{key}" if name else str(key))
    return flat
