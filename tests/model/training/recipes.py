"""Recipes for seconds of training: a tiny network on toy data, with all random choices enabled.

Every recipe is a TOML file, so that other processes can train by it too.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate.state import AcceleratorState, GradientState
from safetensors import safe_open

from model.training.captioner.task import CaptionerTask, main
from model.training.recipe import CaptionerRecipe, read_recipe
from model.training.trainer import Trainer
from tests.model.data.toys import write_set

REPOSITORY = Path(__file__).parents[3]

SMALL = {
    "name": "toy",
    "seed": 5,
    "min_count": 1,
    "views": 3,
    "device": "cpu",
    "preprocessing": {"size": 64},
    "encoder": {"name": "timm/test_efficientnet"},
    "decoder": {"embedding_size": 12, "hidden_size": 16, "attention_size": 8, "detected_words": 9},
    "decoding": {"beam_size": 2, "max_length": 6},
    "optimisation": {
        "epochs": 3,
        "batch_size": 4,
        "captions_each": 2,
        "learning_rate": 0.01,
        "warmup": 3,
        "sampling": 0.3,
        "average": 0.9,
        "patience": 100,
    },
}

FROZEN: dict[str, Any] = {}
# The last two stages (a convolution and its normalisation) are trained, on new views each epoch.
TUNED: dict[str, Any] = {"optimisation": {"tune_from": -2, "encoder_learning_rate": 0.01}}
# Captions are drawn and rewarded, in addition to cross-entropy.
REWARDED: dict[str, Any] = {"self_critical": {"samples": 3}}

# What another process runs, with the recipe and the folder of the run.
TRAIN = """
import sys
from pathlib import Path
from model.training.captioner.task import main
main(Path(sys.argv[1]), Path(sys.argv[2]))
"""


def write_data(folder: Path) -> Path:
    """Write two sets, one in a folder and one in tar shards; what `write_recipe` trains on."""
    write_set(folder, "meadow", 17, seed=1)
    write_set(folder, "harbour", 13, seed=2, tars=2)
    return folder


def write_recipe(folder: Path, data: Path, *changes: Mapping[str, Any]) -> Path:
    """Write the small recipe with some changes as TOML; its feature cache is in `folder`."""
    settings: dict[str, Any] = {
        **SMALL,
        "feature_cache": str(folder / "features"),
        "data": [
            {"captions": f"{data}/meadow.json", "pictures": [f"{data}/meadow"]},
            {
                "captions": f"{data}/harbour.json",
                "pictures": [f"{data}/harbour-*.tar"],
                "weight": 0.5,
            },
        ],
    }
    return write_toml(folder, settings, *changes)


def write_toml(folder: Path, settings: dict[str, Any], *changes: Mapping[str, Any]) -> Path:
    """Write a recipe with some changes, which may go one level deep."""
    for change in changes:
        for key, value in change.items():
            known = settings.get(key)
            settings[key] = known | value if isinstance(known, dict) else value
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "recipe.toml"
    path.write_text("\n".join(f"{key} = {_toml(value)}" for key, value in settings.items()))
    return path


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value)


def train(recipe: Path, run: Path, *, resume: bool = True) -> Path:
    """Train in this process, and return the run's folder."""
    forget_accelerate()
    main(recipe, run, resume=resume)
    return run


def make_trainer(recipe: Path, run: Path) -> Trainer:
    forget_accelerate()
    return Trainer(CaptionerTask, read_recipe(recipe, CaptionerRecipe), run)


def forget_accelerate() -> None:
    """Let a run choose its own precision: Accelerate keeps the first choice of a process."""
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()


def command(*words: str) -> subprocess.Popen[bytes]:
    """Start a command in the repository with as many threads as this process has."""
    environment = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    return subprocess.Popen(
        [sys.executable, *words],
        cwd=REPOSITORY,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    with safe_open(path, framework="pt") as file:
        names = file.keys()
        return {name: file.get_tensor(name) for name in names}


def read_progress(path: Path) -> dict[str, Any]:
    """Return the progress in a checkpoint; step 0 if there is none yet."""
    if not path.exists():
        return {"step": 0}
    # NumPy's opens the file once: a training may replace it at any moment.
    with safe_open(path, framework="numpy") as file:
        progress: dict[str, Any] = json.loads(file.metadata()["progress"])
    return progress


def read_curve(run: Path) -> list[dict[str, float]]:
    curve: list[dict[str, float]] = json.loads((run / "curve.json").read_text())
    return curve
