"""A language model may start from another run's weights, if tokens and network are the same."""

from pathlib import Path
from typing import Any

import pytest
import torch

from model.training.trainer import Trainer
from tests.model.training.recipes import read_curve, read_tensors
from tests.model.training.text_recipes import (
    make_text_trainer,
    tale,
    train_text,
    write_text_recipe,
)


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that others start from."""
    folder = tmp_path_factory.mktemp("before")
    recipe = write_text_recipe(folder, tale(), {"optimisation": {"epochs": 1}})
    return train_text(recipe, folder / "run")


def begin(tmp_path: Path, weights: Path, *changes: dict[str, Any], text: str = "") -> Trainer:
    start = {"initial_weights": str(weights), "seed": 77}
    recipe = write_text_recipe(tmp_path, text or tale(), start, *changes)
    return make_text_trainer(recipe, tmp_path / "run")


def test_a_run_starts_from_another_runs_best_weights(tmp_path, before):
    trainer = begin(tmp_path, before / "best.safetensors")
    best = read_tensors(before / "best.safetensors")
    for network in (trainer.network, trainer.average.module):
        state = network.state_dict()
        assert state.keys() == best.keys()
        assert all(torch.equal(state[name], best[name]) for name in best)


def test_the_weights_are_validated_before_they_are_trained(tmp_path, before):
    trainer = begin(tmp_path, before / "best.safetensors", {"optimisation": {"epochs": 1}})
    trainer.fit()
    first = next(point for point in read_curve(tmp_path / "run") if "epoch" in point)
    (validated,) = (point for point in read_curve(before) if "epoch" in point)
    assert first == validated | {"step": 0, "epoch": 0}


def test_the_dropout_may_differ(tmp_path, before):
    assert begin(tmp_path, before / "bundle", {"network": {"dropout": 0.5}})


@pytest.mark.parametrize(
    ("changes", "text", "message"),
    [
        ({"network": {"cell": "gru"}}, "", "network.cell = 'lstm', and this recipe 'gru'"),
        ({}, "another text, with other letters " * 30, "the first difference is token"),
    ],
)
def test_another_network_is_refused(tmp_path, before, changes, text, message):
    with pytest.raises(ValueError, match=message):
        begin(tmp_path, before / "bundle", changes, text=text)
