"""A run is resumed with its own recipe, on its own data, or not at all."""

import json
import os
import shutil
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

from app.cli.main import app
from model.training import trainer as trainer_module
from model.training.trainer import Trainer, fingerprint
from tests.model.data.toys import draw
from tests.model.training.recipes import (
    command,
    read_curve,
    read_progress,
    read_tensors,
    train,
    write_data,
    write_recipe,
)
from tests.model.training.text_recipes import (
    TRAIN,
    tale,
    train_text,
    train_until,
    write_text_recipe,
)

ONE_EPOCH = {"optimisation": {"epochs": 1}}
Again = Callable[..., Path]


@pytest.fixture(scope="module")
def finished_text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one epoch, next to its corpus."""
    folder = tmp_path_factory.mktemp("text")
    return train_text(write_text_recipe(folder, tale(), ONE_EPOCH), folder / "run")


@pytest.fixture(scope="module")
def finished_captioner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one epoch, next to its data."""
    folder = tmp_path_factory.mktemp("captioner")
    write_data(folder)
    return train(write_recipe(folder, folder, ONE_EPOCH), folder / "run")


@pytest.fixture
def text_again(tmp_path: Path, finished_text: Path) -> Again:
    """Train again with changes, in a copy of the finished run."""
    shutil.copytree(finished_text, tmp_path / "run")

    def again(*changes: Mapping[str, Any], text: str = tale(), resume: bool = True) -> Path:
        folder = finished_text.parent
        recipe = write_text_recipe(folder, text, ONE_EPOCH, *changes)
        return train_text(recipe, tmp_path / "run", resume=resume)

    return again


@pytest.fixture
def captioner_again(tmp_path: Path, finished_captioner: Path) -> Again:
    """Train again with changes, in a copy of the finished run."""
    shutil.copytree(finished_captioner, tmp_path / "run")

    def again(*changes: Mapping[str, Any], resume: bool = True) -> Path:
        folder = finished_captioner.parent
        recipe = write_recipe(folder, folder, ONE_EPOCH, *changes)
        return train(recipe, tmp_path / "run", resume=resume)

    return again


def contents(run: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}


def forget(run: Path, *names: str) -> None:
    """Remove settings from a run's recipe, as if an older version had written it."""
    recipe = json.loads((run / "recipe.json").read_text())
    for name in names:
        part, _, last = name.rpartition(".")
        del (recipe[part] if part else recipe)[last]
    (run / "recipe.json").write_text(json.dumps(recipe))


def forget_data(run: Path) -> None:
    """Remove the fingerprint from a run's checkpoint, as if an older version had written it."""
    path = run / "checkpoint.safetensors"
    progress = read_progress(path)
    del progress["data"]
    save_file(read_tensors(path), path, metadata={"progress": json.dumps(progress)})


# Another recipe


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"optimisation": {"streams": 4}}, "optimisation.streams was 5 and is 4"),
        ({"optimisation": {"steps": 25}}, "optimisation.steps was 20 and is 25"),
        ({"optimisation": {"learning_rate": 0.02}}, "learning_rate was 0.01 and is 0.02"),
        ({"network": {"hidden_size": 13}}, "network.hidden_size was 12 and is 13"),
        ({"network": {"cell": "gru"}}, "network.cell was 'lstm' and is 'gru'"),
        ({"corpus": "elsewhere.txt"}, "and is 'elsewhere.txt'"),
        ({"characters": 300}, "characters was None and is 300"),
        ({"precision": "bfloat16"}, "precision was 'float32' and is 'bfloat16'"),
        ({"seed": 6, "level": "word"}, "seed was 5 and is 6, level was 'character' and is 'word'"),
    ],
)
def test_a_text_run_of_another_recipe_is_refused_and_unchanged(
    text_again, tmp_path, change, difference
):
    before = contents(tmp_path / "run")
    for _ in range(2):
        with pytest.raises(ValueError, match="holds a run of another recipe") as caught:
            text_again(change)
        assert difference in str(caught.value)
        assert (
            "restore the old values, or choose another --output, or start over with --no-resume"
            in str(caught.value)
        )
    assert contents(tmp_path / "run") == before


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"optimisation": {"batch_size": 5}}, "optimisation.batch_size was 4 and is 5"),
        ({"optimisation": {"sampling": 0.4}}, "optimisation.sampling was 0.3 and is 0.4"),
        ({"optimisation": {"tune_from": -2}}, "optimisation.tune_from was None and is -2"),
        ({"decoder": {"hidden_size": 8}}, "decoder.hidden_size was 16 and is 8"),
        ({"preprocessing": {"size": 32}}, "preprocessing.size was 64 and is 32"),
        (
            {"data": [{"captions": "a.json", "pictures": ["b"]}]},
            "and is 'a.json', data.0.pictures.0",
        ),
        ({"views": 2}, "views was 3 and is 2"),
    ],
)
def test_a_captioner_run_of_another_recipe_is_refused_and_unchanged(
    captioner_again, tmp_path, change, difference
):
    before = contents(tmp_path / "run")
    for _ in range(2):
        with pytest.raises(ValueError, match="holds a run of another recipe") as caught:
            captioner_again(change)
        assert difference in str(caught.value)
    assert contents(tmp_path / "run") == before


def test_settings_that_do_not_affect_weights_may_change_for_a_text(text_again):
    change = {
        "prompt": "the owl",
        "version": "2",
        "device": "auto",
        "checkpoint_steps": 2,
        "sampling": {"temperature": 0.5},
        "optimisation": {"epochs": 1, "patience": 1},
    }
    run = text_again(change)
    recipe = json.loads((run / "recipe.json").read_text())
    assert (recipe["prompt"], recipe["sampling"]["temperature"]) == ("the owl", 0.5)
    assert read_progress(run / "checkpoint.safetensors")["step"] == 5
    assert json.loads((run / "bundle" / "config.json").read_text())["version"] == "2"


def test_settings_that_do_not_affect_weights_may_change_for_a_captioner(captioner_again, tmp_path):
    change = {
        "workers": 1,
        "version": "2",
        "checkpoint_minutes": 1e-6,
        "feature_cache": str(tmp_path / "features"),
        "decoding": {"beam_size": 1, "no_echo_words": ["and"]},
    }
    run = captioner_again(change, {"optimisation": {"epochs": 2, "patience": 9}})
    assert json.loads((run / "recipe.json").read_text())["decoding"]["no_echo_words"] == ["and"]
    assert read_progress(run / "checkpoint.safetensors")["step"] == 10


def test_a_run_resumed_for_more_epochs_follows_their_schedule(text_again, tmp_path):
    run = text_again({"optimisation": {"epochs": 3}})
    assert read_progress(run / "checkpoint.safetensors")["step"] == 15
    folder = tmp_path / "whole"
    whole = train_text(write_text_recipe(folder, tale()), folder / "run")
    ours, theirs = (
        [point["learning_rate"] for point in read_curve(path) if "learning_rate" in point]
        for path in (run, whole)
    )
    assert ours[0] < theirs[0]
    assert ours[1:] == theirs[1:]


def test_a_run_that_starts_over_may_have_any_recipe(text_again):
    run = text_again({"seed": 6, "optimisation": {"streams": 4}}, resume=False)
    assert json.loads((run / "recipe.json").read_text())["seed"] == 6
    text_again({"seed": 6, "optimisation": {"streams": 4}})


def test_a_run_that_fails_to_start_over_leaves_the_old_one(text_again, tmp_path):
    before = contents(tmp_path / "run")
    with pytest.raises(FileNotFoundError):
        text_again({"corpus": str(tmp_path / "nowhere.txt")}, resume=False)
    assert contents(tmp_path / "run") == before


def test_a_run_without_a_checkpoint_may_have_any_recipe(tmp_path):
    run = train_until(write_text_recipe(tmp_path, tale()), tmp_path / "run", 3)
    assert (run / "recipe.json").exists()
    train_text(write_text_recipe(tmp_path, tale(), ONE_EPOCH, {"seed": 6}), run)
    assert read_progress(run / "checkpoint.safetensors")["step"] == 5


@pytest.mark.parametrize("again", ["text_again", "captioner_again"])
def test_a_run_without_its_recipe_is_resumed(again, tmp_path, request):
    again = request.getfixturevalue(again)
    (tmp_path / "run" / "recipe.json").unlink()
    run = again({"optimisation": {"epochs": 2}})
    assert read_progress(run / "checkpoint.safetensors")["step"] == 10
    assert json.loads((run / "recipe.json").read_text())["optimisation"]["epochs"] == 2


def test_settings_missing_from_an_old_recipe_had_their_defaults(text_again, tmp_path):
    forget(tmp_path / "run", "validation_pieces", "min_count", "network.tie_output")
    with pytest.raises(ValueError, match=r"\(min_count was 1 and is 2\)"):
        text_again({"min_count": 2})
    text_again()
    assert json.loads((tmp_path / "run" / "recipe.json").read_text())["min_count"] == 1


def test_an_old_captioners_recipe_lacks_the_detector(captioner_again, tmp_path):
    forget(tmp_path / "run", "decoder.detected_words")
    with pytest.raises(ValueError, match=r"decoder\.detected_words was 0 and is 9"):
        captioner_again()


def test_another_kind_of_run_is_refused(captioner_again, finished_text, tmp_path):
    shutil.copy(finished_text / "recipe.json", tmp_path / "run")
    with pytest.raises(ValueError, match=r"another kind of run \(.*recipe\.json: .*--no-resume"):
        captioner_again()


def test_a_truncated_recipe_is_refused(text_again, tmp_path):
    (tmp_path / "run" / "recipe.json").write_text("{")
    with pytest.raises(ValueError, match=r"recipe\.json is not valid JSON"):
        text_again()


# Other data


@pytest.mark.parametrize(
    "text",
    [tale(seed=2), tale(41), tale()[:-13] + "the wow runs\n", tale().replace("e", "é")],
    ids=["other", "longer", "validation", "vocabulary"],
)
def test_another_text_of_the_same_name_is_refused(text_again, tmp_path, text):
    before = contents(tmp_path / "run")
    with pytest.raises(ValueError, match=r"checkpoint\.safetensors was trained on other data"):
        text_again(text=text)
    assert contents(tmp_path / "run") == before


def test_other_captions_of_the_same_name_are_refused(captioner_again, finished_captioner):
    path = finished_captioner.parent / "harbour.json"
    before = path.read_text()
    captions = json.loads(before)
    captions["images"][0]["sentences"][0]["raw"] += "!"  # no word is another
    path.write_text(json.dumps(captions))
    with pytest.raises(ValueError, match="was trained on other data"):
        captioner_again()
    path.write_text(before)
    captioner_again()


@pytest.mark.parametrize("again", ["text_again", "captioner_again"])
def test_a_checkpoint_without_a_data_fingerprint_is_resumed(again, tmp_path, request):
    again = request.getfixturevalue(again)
    forget_data(tmp_path / "run")
    run = again({"optimisation": {"epochs": 2}})
    progress = read_progress(run / "checkpoint.safetensors")
    assert (progress["step"], len(progress["data"])) == (10, 64)


def test_a_fingerprint_covers_all_values():
    assert fingerprint(["a", ("b",)]) == fingerprint(["a", ["b"]])
    assert (
        len({fingerprint(["ab", "c"]), fingerprint(["a", "bc"]), fingerprint([["ab"], "c"])}) == 3
    )


# The command, and several processes


def test_the_command_prints_the_error_on_one_line(text_again, finished_text, tmp_path):
    recipe = write_text_recipe(finished_text.parent, tale(), ONE_EPOCH, {"seed": 6})
    words = ["train", "text", "--config", str(recipe), "--output", str(tmp_path / "run")]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 1
    assert result.stderr.startswith("unrolled: ")
    assert result.stderr.count("\n") == 1
    assert "(seed was 5 and is 6): restore the old values, " in result.stderr
    assert CliRunner().invoke(app, [*words, "--no-resume"]).exit_code == 0


@pytest.mark.slow
def test_several_processes_all_refuse(finished_text, tmp_path):
    shutil.copytree(finished_text, tmp_path / "run")
    recipe = write_text_recipe(finished_text.parent, tale(), ONE_EPOCH, {"seed": 6})
    (tmp_path / "train.py").write_text(TRAIN)
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
    words = (str(tmp_path / "train.py"), str(recipe), str(tmp_path / "run"))
    process = command(*launcher, *words)
    output, _ = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "seed was 5 and is 6" in output.decode()
    assert contents(tmp_path / "run") == contents(finished_text)


# Interrupted


def test_an_interrupted_run_is_kept_can_be_tried_and_goes_on(tmp_path, monkeypatch, capsys):
    whole = train_text(write_text_recipe(tmp_path / "whole", tale()), tmp_path / "whole" / "run")
    recipe, run = write_text_recipe(tmp_path, tale()), tmp_path / "run"
    step = Trainer._step

    def interrupting(trainer: Trainer, batch: Any) -> Any:
        if trainer.step == 6:
            os.kill(os.getpid(), signal.SIGINT)
        return step(trainer, batch)

    capsys.readouterr()
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_step", interrupting)
        with pytest.raises(KeyboardInterrupt):
            train_text(recipe, run)
    assert read_progress(run / "checkpoint.safetensors")["step"] == 7
    printed = capsys.readouterr().err
    assert f"{run} keeps what was learned until step 7" in printed
    assert f"unrolled write --model {run}" in printed
    result = CliRunner().invoke(app, ["write", "--model", str(run), "--max-tokens", "5"])
    assert result.exit_code == 0, result.output
    assert "unfinished, at step 7 of 15 of its training" in result.stderr
    assert "the best weights so far, of epoch 1" in result.stderr
    train_text(recipe, run)
    assert not (run / "unfinished").exists()
    ours, theirs = (read_tensors(path / "best.safetensors") for path in (run, whole))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    ours, theirs = (
        [{**point, "seconds": 0} for point in read_curve(path)] for path in (run, whole)
    )
    assert ours == theirs


def test_the_first_checkpoint_comes_early_whatever_the_recipe_says(tmp_path, monkeypatch):
    monkeypatch.setattr(trainer_module, "_FIRST_CHECKPOINT_MINUTES", 0.0)
    change = {"checkpoint_steps": 10**6, "checkpoint_minutes": 10**6}
    run = train_until(write_text_recipe(tmp_path, tale(), change), tmp_path / "run", 3)
    assert read_progress(run / "checkpoint.safetensors")["step"] == 1


def test_a_run_interrupted_early_says_that_nothing_is_kept(tmp_path, capsys):
    run = train_until(write_text_recipe(tmp_path, tale()), tmp_path / "run", 3)
    assert "there is no checkpoint yet" in capsys.readouterr().err
    result = CliRunner().invoke(app, ["write", "--model", str(run)])
    assert result.exit_code == 1
    assert "has not written weights yet" in result.stderr


def test_a_run_that_starts_over_forgets_the_unfinished_bundle(tmp_path):
    recipe = write_text_recipe(tmp_path, tale(), {"checkpoint_steps": 2})
    run = train_until(recipe, tmp_path / "run", 3)
    assert (run / "unfinished" / "config.json").exists()
    train_until(write_text_recipe(tmp_path, tale()), run, 1, resume=False)
    assert not (run / "unfinished").exists()


def test_an_unfinished_captioner_captions(tmp_path, data):
    recipe = write_recipe(tmp_path, data, {"checkpoint_minutes": 1e-9})
    step = Trainer._step

    def stopping(trainer: Trainer, batch: Any) -> Any:
        if trainer.step == 2:
            raise KeyboardInterrupt
        return step(trainer, batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "_step", stopping)
        with pytest.raises(KeyboardInterrupt):
            train(recipe, tmp_path / "run")
    draw(1).save(tmp_path / "photo.png")
    words = ["caption", "--model", str(tmp_path / "run"), str(tmp_path / "photo.png")]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert "unfinished, at step 2 of 15 of its training: these are the latest" in result.stderr
