"""An interrupted or distributed training of a language model ends as an uninterrupted one does.

Bit for bit in one process; in two, up to the order of sums.
"""

import json
import math
import shutil
import signal
import time
from pathlib import Path

import pytest
import torch

from tests.model.training.recipes import command, read_curve, read_progress, read_tensors
from tests.model.training.text_recipes import (
    DEEP,
    EVERY_STEP,
    TRAIN,
    make_text_trainer,
    tale,
    train_text,
    train_until,
    write_text_recipe,
)

KINDS = {"lstm": DEEP, "gru": {"network": DEEP["network"] | {"cell": "gru"}}}


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory, kind: str) -> Path:
    """A run that nothing stopped."""
    folder = tmp_path_factory.mktemp(kind)
    return train_text(write_text_recipe(folder, tale(), KINDS[kind]), folder / "run")


def assert_same(run: Path, other: Path) -> None:
    """Compare everything that training changes and writes."""
    assert_same_checkpoint(run, other)
    for name in ("best.safetensors", "bundle/model.safetensors"):
        assert_same_tensors(run / name, other / name)
    assert (run / "bundle/config.json").read_text() == (other / "bundle/config.json").read_text()
    assert validations(run) == validations(other)


def assert_same_checkpoint(run: Path, other: Path) -> None:
    paths = [folder / "checkpoint.safetensors" for folder in (run, other)]
    assert_same_tensors(*paths)
    ours, theirs = map(read_progress, paths)
    assert (ours["step"], ours["best"]) == (theirs["step"], theirs["best"])


def assert_same_tensors(path: Path, other: Path) -> None:
    ours, theirs = read_tensors(path), read_tensors(other)
    assert ours.keys() == theirs.keys()
    assert [key for key in ours if not torch.equal(ours[key], theirs[key])] == []


def validations(run: Path) -> list[dict[str, float]]:
    return [point for point in read_curve(run) if "epoch" in point]


@pytest.mark.slow
def test_a_run_killed_midway_ends_as_an_uninterrupted_one(tmp_path, uninterrupted, kind):
    recipe, run = write_text_recipe(tmp_path, tale(), KINDS[kind], EVERY_STEP), tmp_path / "run"
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
    assert_same(train_text(recipe, run), uninterrupted)


@pytest.mark.slow
@pytest.mark.parametrize("step", [1, 4, 5, 6, 13])
def test_a_run_stopped_before_any_step_ends_as_an_uninterrupted_one(
    tmp_path, uninterrupted, kind, step
):
    recipe = write_text_recipe(tmp_path, tale(), KINDS[kind], EVERY_STEP)
    run = train_until(recipe, tmp_path / "run", step)
    assert read_progress(run / "checkpoint.safetensors")["step"] == step
    assert_same(train_text(recipe, run), uninterrupted)


@pytest.mark.parametrize("step", [5, 15])
def test_a_run_stopped_during_validation_validates_again(tmp_path, uninterrupted, kind, step):
    recipe = write_text_recipe(tmp_path, tale(), KINDS[kind], EVERY_STEP)
    run = train_until(recipe, tmp_path / "run", step, method="_validate")
    assert_same(train_text(recipe, run), uninterrupted)


def test_a_run_stopped_several_times_carries_the_same_state(tmp_path, kind):
    recipe = write_text_recipe(tmp_path, tale(), KINDS[kind], EVERY_STEP)
    whole = train_until(recipe, tmp_path / "whole", 8)
    broken = tmp_path / "broken"
    for step in (2, 3, 7, 8):
        train_until(recipe, broken, step)
    assert_same_checkpoint(broken, whole)
    tensors = read_tensors(whole / "checkpoint.safetensors")
    states = {name: t for name, t in tensors.items() if name.startswith("state/")}
    assert [t.shape for t in states.values()] == [(2, 5, 12)] * (2 if kind == "lstm" else 1)
    assert all(t.any() for t in states.values())


def test_steps_after_the_last_checkpoint_are_repeated(tmp_path, uninterrupted, kind):
    recipe = write_text_recipe(tmp_path, tale(), KINDS[kind], {"checkpoint_steps": 3})
    run = train_until(recipe, tmp_path / "run", 8)
    assert read_progress(run / "checkpoint.safetensors")["step"] == 6
    assert_same(train_text(recipe, run), uninterrupted)


def test_a_run_stopped_before_its_first_checkpoint_starts_over(tmp_path, uninterrupted, kind):
    recipe = write_text_recipe(tmp_path, tale(), KINDS[kind])
    run = train_until(recipe, tmp_path / "run", 3)
    assert not (run / "checkpoint.safetensors").exists()
    assert_same(train_text(recipe, run), uninterrupted)


def test_a_finished_run_is_left_unchanged(tmp_path, uninterrupted):
    shutil.copytree(uninterrupted.parent, tmp_path / "copy")
    before = (uninterrupted / "checkpoint.safetensors").read_bytes()
    run = train_text(tmp_path / "copy" / "recipe.toml", tmp_path / "copy" / "run")
    assert (run / "checkpoint.safetensors").read_bytes() == before
    assert_same(run, uninterrupted)


def test_a_run_that_started_over_never_resumes_from_the_old_one(tmp_path, uninterrupted, kind):
    run = tmp_path / "run"
    train_text(write_text_recipe(tmp_path, tale(), KINDS[kind], {"seed": 6}), run)
    recipe = write_text_recipe(tmp_path, tale(), KINDS[kind])
    train_until(recipe, run, 3, resume=False)
    assert_same(train_text(recipe, run), uninterrupted)


def test_a_checkpoint_of_another_recipe_is_refused(tmp_path, uninterrupted, kind):
    for change in ({"optimisation": {"streams": 4}}, {"network": {"hidden_size": 13}}):
        shutil.copytree(uninterrupted, tmp_path / "run", dirs_exist_ok=True)
        (tmp_path / "run" / "recipe.json").unlink()
        recipe = write_text_recipe(tmp_path, tale(), KINDS[kind], change)
        with pytest.raises(ValueError, match="of another network"):
            train_text(recipe, tmp_path / "run")


def test_the_same_recipe_repeats_a_run_and_another_seed_does_not(tmp_path, uninterrupted, kind):
    twin = train_text(write_text_recipe(tmp_path, tale(), KINDS[kind]), tmp_path / "twin")
    assert_same(twin, uninterrupted)
    recipe = write_text_recipe(tmp_path, tale(), KINDS[kind], {"seed": 6})
    other = read_tensors(train_text(recipe, tmp_path / "other") / "best.safetensors")
    ours = read_tensors(twin / "best.safetensors")
    assert not torch.equal(ours["embedding.weight"], other["embedding.weight"])


def test_a_checkpoint_can_be_written_before_the_first_step(tmp_path):
    trainer = make_text_trainer(write_text_recipe(tmp_path, tale()), tmp_path / "run")
    trainer.checkpoint()
    other = make_text_trainer(write_text_recipe(tmp_path, tale(), {"seed": 6}), tmp_path / "run")
    other.resume()
    ours, theirs = trainer.network.state_dict(), other.network.state_dict()
    assert other.step == 0
    assert not any(part.any() for part in other.task.state)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.slow
def test_two_processes_killed_and_resumed_train_as_one_does(tmp_path):
    # Five streams: they cannot be shared evenly. Dropout would differ.
    change = {"network": DEEP["network"] | {"dropout": 0.0}}
    one = train_text(write_text_recipe(tmp_path / "one", tale(), change), tmp_path / "one/run")
    recipe = write_text_recipe(tmp_path / "two", tale(), change, {"checkpoint_steps": 2})
    together = tmp_path / "two" / "run"
    (tmp_path / "train.py").write_text(TRAIN)
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
    words = (*launcher, str(tmp_path / "train.py"), str(recipe), str(together))
    killed = command(*words, "9")
    output, _ = killed.communicate(timeout=120)
    assert killed.returncode != 0
    assert read_progress(together / "checkpoint.safetensors")["step"] == 8, output.decode()
    shutil.copytree(together, tmp_path / "alone")
    resumed = command(*words)
    output, _ = resumed.communicate(timeout=120)
    assert resumed.returncode == 0, output.decode()
    environment = json.loads((together / "environment.json").read_text())
    assert environment["processes"] == 2
    # A run of two processes can also be resumed by one.
    alone = train_text(recipe, tmp_path / "alone")
    for run in (together, alone):
        for name in ("checkpoint.safetensors", "best.safetensors"):
            ours, theirs = read_tensors(one / name), read_tensors(run / name)
            assert ours.keys() == theirs.keys()
            for key, tensor in ours.items():
                torch.testing.assert_close(theirs[key], tensor, rtol=1e-4, atol=1e-5, msg=key)
        for ours, theirs in zip(validations(one), validations(run), strict=True):
            loss = theirs["validation_loss"]
            assert math.isclose(ours["validation_loss"], loss, rel_tol=1e-5)
    losses = [[p["loss"] for p in read_curve(run) if "loss" in p] for run in (one, together)]
    assert losses[0][0] == pytest.approx(losses[1][0], rel=1e-5)
    assert losses[0][2] == pytest.approx(losses[1][2], rel=1e-5)
