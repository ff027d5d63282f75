"""An interrupted run ends with exactly the weights that it would have had, bit for bit."""

import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from model.training.trainer import Trainer
from tests.model.training.recipes import (
    FROZEN,
    REWARDED,
    TRAIN,
    TUNED,
    command,
    make_trainer,
    read_curve,
    read_progress,
    read_tensors,
    train,
    write_recipe,
)

KINDS = {"frozen": FROZEN, "tuned": TUNED, "rewarded": REWARDED}
EVERY_STEP = {"checkpoint_minutes": 1e-6}
Uninterrupted = Callable[[str], Path]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Uninterrupted:
    """Return the run of a kind that nothing stopped."""
    runs: dict[str, Path] = {}

    def run(kind: str) -> Path:
        if kind not in runs:
            folder = tmp_path_factory.mktemp(kind)
            runs[kind] = train(write_recipe(folder, data, KINDS[kind]), folder / "run")
        return runs[kind]

    return run


def assert_same(run: Path, other: Path) -> None:
    """Compare everything that training changes and writes."""
    for name in ("checkpoint.safetensors", "best.safetensors", "bundle/model.safetensors"):
        ours, theirs = read_tensors(run / name), read_tensors(other / name)
        assert ours.keys() == theirs.keys()
        assert [key for key in ours if not torch.equal(ours[key], theirs[key])] == []
    ours, theirs = (read_progress(path / "checkpoint.safetensors") for path in (run, other))
    assert (ours["step"], ours["best"]) == (theirs["step"], theirs["best"])
    assert validations(run) == validations(other)


def validations(run: Path) -> list[dict[str, float]]:
    return [point for point in read_curve(run) if "epoch" in point]


def stop_at(monkeypatch: pytest.MonkeyPatch, method: str, step: int) -> None:
    """Make a method of the trainer end the run once it has reached a step."""
    original = getattr(Trainer, method)

    def stopping(trainer: Trainer, *arguments: Any) -> Any:
        if trainer.step == step:
            raise KeyboardInterrupt
        return original(trainer, *arguments)

    monkeypatch.setattr(Trainer, method, stopping)


def train_until_stopped(recipe: Path, run: Path, **options: bool) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(recipe, run, **options)


def test_the_checkpoint_holds_network_average_and_optimizer(uninterrupted):
    names = read_tensors(uninterrupted("tuned") / "checkpoint.safetensors")
    assert {name.split("/")[0] for name in names} == {"network", "average", "optimizer"}
    assert any(name.endswith("/exp_avg_sq") for name in names)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_run_killed_midway_ends_as_an_uninterrupted_one(tmp_path, data, uninterrupted, kind):
    recipe, run = write_recipe(tmp_path, data, KINDS[kind], EVERY_STEP), tmp_path / "run"
    checkpoint = run / "checkpoint.safetensors"
    moment = 5  # of 15 steps
    process = command("-c", TRAIN, str(recipe), str(run))
    try:
        while read_progress(checkpoint)["step"] < moment and process.poll() is None:
            time.sleep(0.001)
    finally:
        process.kill()
        output, _ = process.communicate()
    assert process.returncode == -signal.SIGKILL, output.decode()
    assert moment <= read_progress(checkpoint)["step"] < 15
    assert not (run / "bundle").exists()
    assert_same(train(recipe, run), uninterrupted(kind))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("step", [1, 4, 5, 6, 14])
def test_a_run_stopped_before_any_step_ends_as_an_uninterrupted_one(
    tmp_path, data, uninterrupted, monkeypatch, kind, step
):
    recipe = write_recipe(tmp_path, data, KINDS[kind], EVERY_STEP)
    with monkeypatch.context() as patch:
        stop_at(patch, "_step", step)
        train_until_stopped(recipe, tmp_path / "run")
    assert read_progress(tmp_path / "run" / "checkpoint.safetensors")["step"] == step
    assert_same(train(recipe, tmp_path / "run"), uninterrupted(kind))


@pytest.mark.slow
@pytest.mark.parametrize("step", [5, 10, 15])
def test_a_run_stopped_during_validation_validates_again(
    tmp_path, data, uninterrupted, monkeypatch, step
):
    recipe = write_recipe(tmp_path, data, EVERY_STEP)
    with monkeypatch.context() as patch:
        stop_at(patch, "_validate", step)
        train_until_stopped(recipe, tmp_path / "run")
    assert_same(train(recipe, tmp_path / "run"), uninterrupted("frozen"))


def test_a_run_may_be_stopped_several_times(tmp_path, data, uninterrupted, monkeypatch):
    recipe = write_recipe(tmp_path, data, EVERY_STEP)
    for step in (2, 3, 9):
        with monkeypatch.context() as patch:
            stop_at(patch, "_step", step)
            train_until_stopped(recipe, tmp_path / "run")
    assert_same(train(recipe, tmp_path / "run"), uninterrupted("frozen"))


def test_a_run_stopped_before_its_first_checkpoint_starts_over(
    tmp_path, data, uninterrupted, monkeypatch
):
    recipe = write_recipe(tmp_path, data)
    with monkeypatch.context() as patch:
        stop_at(patch, "_step", 3)
        train_until_stopped(recipe, tmp_path / "run")
    assert not (tmp_path / "run" / "checkpoint.safetensors").exists()
    assert_same(train(recipe, tmp_path / "run"), uninterrupted("frozen"))


def test_an_incomplete_feature_cache_is_completed(tmp_path, data, uninterrupted):
    whole = uninterrupted("frozen").parent / "features"
    shutil.copytree(whole, tmp_path / "features")
    missing = sorted((tmp_path / "features").rglob("view1-*.npy"))
    for part in missing:
        part.rename(part.with_suffix(".1.tmp"))
    run = train(write_recipe(tmp_path, data), tmp_path / "run")
    assert missing
    assert all(part.exists() for part in missing)
    assert_same(run, uninterrupted("frozen"))


def test_a_finished_run_is_left_unchanged(tmp_path, uninterrupted):
    shutil.copytree(uninterrupted("tuned").parent, tmp_path / "copy")
    before = (tmp_path / "copy" / "run" / "checkpoint.safetensors").read_bytes()
    run = train(tmp_path / "copy" / "recipe.toml", tmp_path / "copy" / "run")
    assert (run / "checkpoint.safetensors").read_bytes() == before
    assert_same(run, uninterrupted("tuned"))


def test_a_run_told_not_to_resume_starts_over(tmp_path, data, uninterrupted):
    run = tmp_path / "run"
    train(write_recipe(tmp_path, data, {"seed": 6, "optimisation": {"epochs": 1}}), run)
    train(write_recipe(tmp_path, data), run, resume=False)
    assert_same(run, uninterrupted("frozen"))


def test_a_run_that_started_over_never_resumes_from_the_old_one(
    tmp_path, data, uninterrupted, monkeypatch
):
    run = tmp_path / "run"
    train(write_recipe(tmp_path, data, {"seed": 6, "optimisation": {"epochs": 1}}), run)
    recipe = write_recipe(tmp_path, data)
    with monkeypatch.context() as patch:
        stop_at(patch, "_step", 3)
        train_until_stopped(recipe, run, resume=False)
    assert_same(train(recipe, run), uninterrupted("frozen"))


@pytest.mark.parametrize(
    ("change", "message"),
    [({"decoder": {"hidden_size": 8}}, "of another network"), (TUNED, "of another optimizer")],
    ids=["network", "optimizer"],
)
def test_a_checkpoint_of_another_recipe_is_refused(tmp_path, data, uninterrupted, change, message):
    shutil.copytree(uninterrupted("frozen"), tmp_path / "run")
    (tmp_path / "run" / "recipe.json").unlink()
    with pytest.raises(ValueError, match=message):
        train(write_recipe(tmp_path, data, change), tmp_path / "run")


def test_the_same_recipe_repeats_a_run_and_another_seed_does_not(tmp_path, data, uninterrupted):
    twin = train(write_recipe(tmp_path / "twin", data), tmp_path / "twin" / "run")
    assert_same(twin, uninterrupted("frozen"))
    recipe = write_recipe(tmp_path / "other", data, {"seed": 6})
    other = read_tensors(train(recipe, tmp_path / "other" / "run") / "checkpoint.safetensors")
    ours = read_tensors(twin / "checkpoint.safetensors")
    assert not torch.equal(
        ours["network/decoder.embedding.weight"], other["network/decoder.embedding.weight"]
    )


def test_reading_batches_in_another_process_changes_nothing(tmp_path, data, uninterrupted):
    run = train(write_recipe(tmp_path, data, TUNED, {"workers": 1}), tmp_path / "run")
    assert_same(run, uninterrupted("tuned"))


def test_a_checkpoint_can_be_written_before_the_first_step(tmp_path, data):
    trainer = make_trainer(write_recipe(tmp_path, data), tmp_path / "run")
    trainer.checkpoint()
    other = make_trainer(write_recipe(tmp_path, data, {"seed": 6}), tmp_path / "run")
    other.resume()
    ours, theirs = trainer.network.state_dict(), other.network.state_dict()
    assert other.step == 0
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
