"""A run's folder: its recipe, environment, curve and TensorBoard log beside its checkpoint."""

import os
import platform
import sys
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch.utils.tensorboard import SummaryWriter

from model.files import write_json
from model.training.recipe import CaptionerRecipe, TextRecipe

__all__ = ["CHECKPOINT", "RECIPE", "Run"]

CHECKPOINT, RECIPE = "checkpoint.safetensors", "recipe.json"

_PACKAGES = ("torch", "torchvision", "timm", "accelerate", "numpy", "pillow", "safetensors")


class Run:
    """Writes what a run leaves behind; only its main process writes anything.

    Args:
        folder: is made where it is not there.
        main: whether this is the main process.
    """

    def __init__(self, folder: Path, *, main: bool) -> None:
        self.folder = folder
        self.checkpoint = folder / CHECKPOINT
        self.best = folder / "best.safetensors"
        self.main = main
        self.curve: list[dict[str, Any]] = []
        self._board: SummaryWriter | None = None
        if main:
            folder.mkdir(parents=True, exist_ok=True)

    def describe(self, recipe: CaptionerRecipe | TextRecipe) -> None:
        """Write what is trained, and where."""
        if self.main:
            write_json(self.folder / RECIPE, asdict(recipe))
            write_json(self.folder / "environment.json", _environment())

    def restore(self, curve: list[dict[str, Any]]) -> None:
        """Take up the curve of a checkpoint; what was logged after it is forgotten."""
        self.curve = curve

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
        """Close what is open."""
        if self._board is not None:
            self._board.close()


def _environment() -> dict[str, Any]:
    return {
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "threads": torch.get_num_threads(),
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "processes": int(os.environ.get("WORLD_SIZE", "1")),
        "packages": {name: version(name) for name in _PACKAGES},
    }
