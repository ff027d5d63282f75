"""A run's folder: recipe, environment, curve, TensorBoard log, checkpoint, weights and bundle."""

import os
import platform
import shutil
import sys
from collections.abc import Mapping
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from model.bundle.discovery import FINISHED, UNFINISHED
from model.bundle.write import save_bundle
from model.files import write_json
from model.training.checkpoint import read_progress
from model.training.recipe import CaptionerRecipe, Recipe, TextRecipe, read_recipe
from model.training.task import TrainingTask

__all__ = ["OTHER_RUN", "Run", "check_recipe", "kept"]

# Ends messages about a run that cannot be resumed.
OTHER_RUN = "or choose another --output, or start over with --no-resume"

_CHECKPOINT, _RECIPE = "checkpoint.safetensors", "recipe.json"

_PACKAGES = ("torch", "torchvision", "timm", "accelerate", "numpy", "pillow", "safetensors")

# What may change when a run is resumed: it alters neither the steps taken nor what they are taken
# on. More epochs, or more patience, are what one wants of a run that goes well.
_FREE = (
    *("version", "device", "workers", "checkpoint_minutes", "checkpoint_steps", "feature_cache"),
    *("prompt", "beginning", "sampling", "decoding"),
    *("optimisation.epochs", "optimisation.patience"),
)


class Run:
    """Writes what a run leaves behind; only its main process writes anything.

    Args:
        folder: of the run, made if needed.
        main: whether this is the main process.
    """

    def __init__(self, folder: Path, *, main: bool) -> None:
        self.folder = folder
        self.checkpoint = folder / _CHECKPOINT
        self.best = folder / "best.safetensors"
        self.bundle = folder / FINISHED
        self.main = main
        self.curve: list[dict[str, Any]] = []
        self._board: SummaryWriter | None = None
        if main:
            folder.mkdir(parents=True, exist_ok=True)

    @staticmethod
    def has_checkpoint(folder: Path) -> bool:
        """Check whether a folder holds a run that can be resumed."""
        return (folder / _CHECKPOINT).exists()

    def forget(self) -> None:
        """Remove what an interrupted run left, so that nobody resumes or tries it."""
        if self.main:
            self.checkpoint.unlink(missing_ok=True)
            shutil.rmtree(self.folder / UNFINISHED, ignore_errors=True)

    def describe(self, recipe: CaptionerRecipe | TextRecipe) -> None:
        """Write the recipe, and the environment that it is trained in."""
        if self.main:
            write_json(self.folder / _RECIPE, asdict(recipe))
            write_json(self.folder / "environment.json", _environment())

    def save_bundle(
        self,
        recipe: CaptionerRecipe | TextRecipe,
        task: TrainingTask[Any],
        weights: Mapping[str, Tensor],
        about: dict[str, Any],
    ) -> None:
        """Write weights as the run's bundle, or as its unfinished one if `about` says so.

        A bundle that is unfinished says so in its version, its provenance and its card.
        """
        unfinished = about.get("unfinished")
        text = f"Trained by `unrolled train {task.command}`."
        config = task.config
        if unfinished:
            text = f"{text} This is not its end but {unfinished}."
            config = replace(config, version=f"{config.version[:50]}-unfinished")
        provenance = task.provenance | {"recipe": recipe.name} | about
        save_bundle(
            self.folder / (UNFINISHED if unfinished else FINISHED),
            replace(config, provenance=provenance),
            weights,
            task.vocabulary,
            f"# {recipe.name}\n\n{text}\n",
        )
        if not unfinished:
            shutil.rmtree(self.folder / UNFINISHED, ignore_errors=True)

    def log(self, step: int, **values: float) -> None:
        """Add a point to the curve, on disk and in TensorBoard."""
        self.curve.append({"step": step, **values})
        if not self.main:
            return
        write_json(self.folder / "curve.json", self.curve)
        if self._board is None:
            self._board = SummaryWriter(str(self.folder / "tensorboard"), purge_step=step)
        for name, value in values.items():
            self._board.add_scalar(name, value, step)
        self._board.flush()

    def close(self) -> None:
        """Close the TensorBoard log."""
        if self._board is not None:
            self._board.close()


def kept(folder: Path, recipe: CaptionerRecipe | TextRecipe) -> str:
    """Describe what an interrupted run leaves in its folder, how to go on and how to try it."""
    checkpoint = folder / _CHECKPOINT
    if not checkpoint.exists():
        return "there is no checkpoint yet; the same command starts from the beginning"
    command = "caption" if isinstance(recipe, CaptionerRecipe) else "write"
    picture = " PICTURE" if command == "caption" else ""
    return (
        f"{folder} keeps what was learned until step {read_progress(checkpoint)['step']:,}\n"
        "to go on: the same command again, without --no-resume\n"
        f"to try it as it is: unrolled {command} --model {folder}{picture}"
    )


def check_recipe(folder: Path, recipe: Recipe) -> None:
    """Check that a folder's run can be resumed with this recipe.

    Raises:
        ValueError: its recipe was another; the message names the differences.
    """
    try:
        before = _flatten(asdict(read_recipe(folder / _RECIPE, type(recipe))))
    except FileNotFoundError:
        return
    except ValueError as error:
        raise ValueError(
            f"{folder} holds another kind of run ({error}): remove it, {OTHER_RUN}"
        ) from error
    now = _flatten(asdict(recipe))
    changes = [
        f"{name} was {before.get(name)!r} and is {now.get(name)!r}"
        for name in before | now
        if before.get(name) != now.get(name)
        and not any(f"{name}.".startswith(f"{free}.") for free in _FREE)
    ]
    if changes:
        raise ValueError(
            f"{folder} holds a run of another recipe ({', '.join(changes)}): "
            f"restore the old values, {OTHER_RUN}"
        )


def _flatten(part: Any, name: str = "") -> dict[str, Any]:
    """Name every value of a recipe by its path: `data.0.weight`."""
    if isinstance(part, tuple):
        part = dict(enumerate(part))
    if not isinstance(part, dict):
        return {name: part}
    flat: dict[str, Any] = {}
    for key, inner in part.items():
        flat |= _flatten(inner, f"{name}.{key}" if name else str(key))
    return flat


def _environment() -> dict[str, Any]:
    return {
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "threads": torch.get_num_threads(),
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "processes": int(os.environ.get("WORLD_SIZE", "1")),
        "packages": {name: version(name) for name in _PACKAGES},
    }
