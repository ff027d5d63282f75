"""Recipes for seconds of training a language model, and the texts that they learn."""

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from model.training.language_model.task import LanguageModelTask, main
from model.training.recipe import TextRecipe, read_recipe
from model.training.trainer import Trainer
from tests.model.training.recipes import forget_accelerate, write_toml

SMALL = {
    "name": "toy",
    "seed": 5,
    "device": "cpu",
    "prompt": "the ",
    "validation_share": 0.1,
    "network": {"hidden_size": 12},
    "optimisation": {
        "epochs": 3,
        "streams": 5,
        "steps": 20,
        "learning_rate": 0.01,
        "warmup": 3,
        "average": 0.9,
        "patience": 100,
    },
}

# Everything random switched on, and weights that are tied. 5 steps an epoch with `tale`.
DEEP: dict[str, Any] = {
    "network": {"layers": 2, "dropout": 0.3, "embedding_size": 8, "tie_output": True},
}
EVERY_STEP = {"checkpoint_steps": 1}

# What another process runs, with the recipe, the folder of the run and, optionally, the step before
# which it kills itself.
TRAIN = """
import os, signal, sys
from pathlib import Path
from model.training.language_model.task import main
from model.training.trainer import Trainer

step = Trainer._step

def stopping(trainer, batch):
    if [str(trainer.step)] == sys.argv[3:]:
        os.kill(os.getpid(), signal.SIGKILL)
    return step(trainer, batch)

Trainer._step = stopping
main(Path(sys.argv[1]), Path(sys.argv[2]))
"""

NOUNS = "cat dog owl cow hen".split()
VERBS = "runs sits naps eats".split()


def tale(lines: int = 40, seed: int = 1) -> str:
    """Return lines of 13 characters about what animals do."""
    rng = random.Random(seed)
    sentences = [f"the {rng.choice(NOUNS)} {rng.choice(VERBS)}" for _ in range(lines)]
    return "".join(f"{sentence}\n" for sentence in sentences)


def write_text_recipe(folder: Path, text: str, *changes: Mapping[str, Any]) -> Path:
    """Write the small recipe with some changes as TOML, next to its corpus."""
    path = write_toml(folder, {**SMALL, "corpus": str(folder / "corpus.txt")}, *changes)
    (folder / "corpus.txt").write_text(text, encoding="utf-8")
    return path


def train_text(recipe: Path, run: Path, *, resume: bool = True) -> Path:
    """Train in this process, and return the run's folder."""
    forget_accelerate()
    main(recipe, run, resume=resume)
    return run


def make_text_trainer(recipe: Path, run: Path) -> Trainer:
    forget_accelerate()
    return Trainer(LanguageModelTask, read_recipe(recipe, TextRecipe), run)


def train_until(
    recipe: Path, run: Path, step: int, *, method: str = "_step", resume: bool = True
) -> Path:
    """Train until a method is called at a step, and end the run there as Control-C would."""
    original = getattr(Trainer, method)

    def stopping(trainer: Trainer, *arguments: Any) -> Any:
        if trainer.step == step:
            raise KeyboardInterrupt
        return original(trainer, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, method, stopping)
        with pytest.raises(KeyboardInterrupt):
            train_text(recipe, run, resume=resume)
    return run
