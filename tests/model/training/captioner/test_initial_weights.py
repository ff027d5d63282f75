"""A run may start from another's weights, if words and network are the same."""

import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from model.bundle.write import save_bundle
from model.captioning.captioner import Captioner
from model.training.captioner.naming import ClassWord, name_classes
from model.training.trainer import Trainer
from tests.model.training.recipes import (
    TUNED,
    make_trainer,
    read_curve,
    read_progress,
    read_tensors,
    train,
    write_recipe,
)
from tests.tiny import tiny_captioner

State = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    """The run that others start from."""
    folder = tmp_path_factory.mktemp("before")
    recipe = write_recipe(folder, data, {"seed": 77, "optimisation": {"epochs": 1}})
    return train(recipe, folder / "run")


def starts_from(path: Path) -> dict[str, Any]:
    return {"initial_weights": str(path), "optimisation": {"epochs": 1}}


def begin(tmp_path: Path, data: Path, path: Path, *changes: dict[str, Any]) -> Trainer:
    recipe = write_recipe(tmp_path, data, starts_from(path), *changes)
    return make_trainer(recipe, tmp_path / "run")


def differing(ours: State, theirs: State) -> list[str]:
    assert ours.keys() == theirs.keys()
    return [name for name in ours if not torch.equal(ours[name], theirs[name])]


def test_a_run_starts_from_another_runs_best_weights(tmp_path, data, before):
    trainer = begin(tmp_path, data, before / "best.safetensors")
    best = read_tensors(before / "best.safetensors")
    assert differing(trainer.network.state_dict(), best) == []
    assert differing(trainer.average.module.state_dict(), best) == []
    assert all(p.dtype == torch.float32 for p in trainer.network.parameters())


def test_a_run_starts_from_a_bundle(tmp_path, data, before):
    trainer = begin(tmp_path, data, before / "bundle")
    bundle = Captioner.load(before / "bundle", "cpu").network.state_dict()
    assert differing(trainer.network.state_dict(), bundle) == []
    best = read_tensors(before / "best.safetensors")
    assert differing(bundle, best)  # in half precision
    assert all(p.dtype == torch.float32 for p in trainer.network.parameters())


def test_the_dropout_may_differ(tmp_path, data, before):
    trainer = begin(tmp_path, data, before / "bundle", {"decoder": {"dropout": 0.0}})
    assert trainer.network.decoder.dropout.p == 0


def test_the_weights_are_validated_before_they_are_trained(tmp_path, data, before):
    recipe = write_recipe(tmp_path, data, starts_from(before / "best.safetensors"))
    first, *_ = curve = read_curve(train(recipe, tmp_path / "run"))
    (validated,) = (point for point in read_curve(before) if "epoch" in point)
    assert first == validated | {"step": 0, "epoch": 0}
    assert [point["epoch"] for point in curve if "epoch" in point] == [0, 1]


def test_an_empty_path_means_no_initial_weights(tmp_path, data):
    trainer = make_trainer(write_recipe(tmp_path, data, {"initial_weights": ""}), tmp_path / "run")
    assert not trainer.task.validates_first


def test_the_initial_weights_are_kept_if_none_are_better(tmp_path, data, before):
    still = {"optimisation": {"epochs": 3, "patience": 1, "learning_rate": 1e-12}}
    recipe = write_recipe(tmp_path, data, starts_from(before / "best.safetensors"), still)
    run = train(recipe, tmp_path / "run")
    ours, theirs = (read_tensors(path / "best.safetensors") for path in (run, before))
    assert differing(ours, theirs) == []
    assert read_progress(run / "checkpoint.safetensors")["best"]["epoch"] == -1
    assert Captioner.load(run / "bundle", "cpu").config.provenance["best_epoch"] == 0
    assert len([point for point in read_curve(run) if "epoch" in point]) == 2


def test_a_tuned_encoder_starts_from_the_initial_weights(tmp_path, data, before):
    trainer = begin(tmp_path, data, before / "best.safetensors", TUNED, {"optimisation": {}})
    trainer.fit()
    best = read_tensors(before / "best.safetensors")
    moved = [n for n in differing(trainer.network.state_dict(), best) if n.startswith("encoder.")]
    assert moved
    assert not [name for name in moved if "running" in name or "num_batches" in name]


def other_words(tmp_path: Path, data: Path) -> dict[str, Any]:
    """Return the change of a recipe to data that say wolf where the first run's say dog."""
    texts = (data / "meadow.json").read_text().replace("dog", "wolf")
    (tmp_path / "meadow.json").write_text(texts)
    return {"data": [{"captions": f"{tmp_path}/meadow.json", "pictures": [f"{data}/meadow"]}]}


def test_a_bundle_may_keep_its_vocabulary_on_other_words(tmp_path, data, before):
    changes = other_words(tmp_path, data) | {"keep_vocabulary": True}
    recipe = write_recipe(tmp_path, data, starts_from(before / "bundle"), changes)
    trainer = make_trainer(recipe, tmp_path / "run")
    vocabulary = Captioner.load(before / "bundle", "cpu").vocabulary
    assert trainer.task.data.vocabulary.tokens == vocabulary.tokens
    assert vocabulary.encode("wolf") == [vocabulary.unknown_id]
    trained = Captioner.load(train(recipe, tmp_path / "run") / "bundle", "cpu")
    assert trained.vocabulary.tokens == vocabulary.tokens


def test_names_of_classes_are_kept(tmp_path, data, before):
    captioner = Captioner.load(before / "bundle", "cpu", runtime="torch")
    classifier = torch.randn(3, captioner.network.encoder.channels), torch.zeros(3)
    words = [ClassWord("lion", (0, 2), "dog")]
    decoder, state, vocabulary = name_classes(
        captioner, classifier, words, torch.eye(3), [["a lion"], ["a dog"], ["a dog"]]
    )
    config = replace(captioner.config, decoder=decoder)
    save_bundle(tmp_path / "named", config, state, vocabulary, captioner.card)

    kept = {"keep_vocabulary": True, "decoder": {"classes": 3, "class_names": 1}}
    recipe = write_recipe(tmp_path, data, starts_from(tmp_path / "named"), kept)
    trained = Captioner.load(train(recipe, tmp_path / "run") / "bundle", "cpu", runtime="torch")
    assert trained.vocabulary.tokens[-1] == "lion"
    after = trained.network.state_dict()
    for name in [name for name in state if ".class_names." in name]:
        torch.testing.assert_close(after[name], state[name], atol=1e-3, rtol=1e-3)  # in 16 bits


# What does not fit


def test_names_cannot_be_made_by_training(tmp_path, data):
    named = {"decoder": {"classes": 3, "class_names": 1}}
    with pytest.raises(ValueError, match=r"scripts/name_classes\.py: leave them out, or keep"):
        make_trainer(write_recipe(tmp_path, data, named), tmp_path / "run")


def refused(tmp_path: Path, data: Path, path: Path, *changes: dict[str, Any]) -> str:
    with pytest.raises(ValueError, match=r".") as caught:
        begin(tmp_path, data, path, *changes)
    return str(caught.value)


@pytest.mark.parametrize("name", ["bundle", "best.safetensors"])
def test_other_words_are_refused(tmp_path, data, before, name):
    message = refused(tmp_path, data, before / name, {"min_count": 15})
    assert "has 24 tokens and this recipe's data give 16" in message
    assert "token 16, '" in message
    assert "there and None here" in message


def test_the_error_names_the_first_different_word(tmp_path, data, before):
    message = refused(tmp_path, data, before / "bundle", other_words(tmp_path, data))
    assert re.search(r"token \d+, '\w+' there and '\w+' here: train on the same sets", message)


@pytest.mark.parametrize("path", ["", "best.safetensors", "nowhere"])
def test_only_a_bundle_has_a_vocabulary_to_keep(tmp_path, data, before, path):
    named = {"initial_weights": path and str(before / path), "keep_vocabulary": True}
    with pytest.raises(ValueError, match="initial_weights must name its folder"):
        make_trainer(write_recipe(tmp_path, data, named), tmp_path / "run")


@pytest.mark.parametrize("name", ["bundle", "best.safetensors"])
@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("decoder.hidden_size = 16, and this recipe 8", {"decoder": {"hidden_size": 8}}),
        (
            "decoder.attention = 'additive', and this recipe 'dot'",
            {"decoder": {"attention": "dot"}},
        ),
        ("encoder.name = ", {"encoder": {"name": "timm/test_resnet"}}),
    ],
)
def test_another_network_is_refused(tmp_path, data, before, name, part, change):
    assert part in refused(tmp_path, data, before / name, change)


def test_without_a_bundle_shapes_are_compared(tmp_path, data, before):
    alone = tmp_path / "alone.safetensors"
    shutil.copy(before / "best.safetensors", alone)
    assert begin(tmp_path / "fits", data, alone).step == 0
    message = refused(tmp_path / "other", data, alone, {"decoder": {"hidden_size": 8}})
    assert "alone.safetensors has the weights of another network" in message
    assert "decoder.to_word.weight" in message
    message = refused(tmp_path / "fewer", data, alone, {"min_count": 15})
    assert "decoder.embedding.weight" in message


def test_a_damaged_file_of_weights_is_refused(tmp_path, data, before):
    (tmp_path / "junk.safetensors").write_bytes(b"junk")
    assert "not a complete safetensors" in refused(tmp_path, data, tmp_path / "junk.safetensors")
    assert "config.json" in refused(tmp_path, data, before)  # a run's folder is no bundle
    with pytest.raises(FileNotFoundError):
        begin(tmp_path, data, tmp_path / "nowhere.safetensors")


# The encoder's own file


def encoder_file(tmp_path: Path, **changes: torch.Tensor) -> State:
    """Write other weights than the recipe's seed gives, in the CNN's own names."""
    torch.manual_seed(99)
    network = tiny_captioner(seed=99).network.encoder.trunk.network
    state = network.state_dict() | {"classifier.weight": torch.zeros(3, 3)} | changes
    state = {name: tensor.contiguous() for name, tensor in state.items()}
    save_file(state, tmp_path / "encoder.safetensors")
    return state


def test_the_encoder_starts_from_its_file_without_the_classifier(tmp_path, data):
    state = encoder_file(tmp_path)
    del state["classifier.weight"]
    change = {"encoder_weights": str(tmp_path / "encoder.safetensors")}
    trainer = make_trainer(write_recipe(tmp_path, data, change), tmp_path / "run")
    assert differing(trainer.network.encoder.trunk.network.state_dict(), state) == []
    assert differing(trainer.average.module.encoder.trunk.network.state_dict(), state) == []


def test_a_file_of_another_encoder_is_refused(tmp_path, data):
    encoder_file(tmp_path, **{"conv_stem.weight": torch.zeros(1, 3, 3, 3)})
    change = {"encoder_weights": str(tmp_path / "encoder.safetensors")}
    with pytest.raises(ValueError, match=r"encoder\.safetensors: conv_stem\.weight has the shape"):
        make_trainer(write_recipe(tmp_path, data, change), tmp_path / "run")
