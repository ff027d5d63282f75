"""Errors in a recipe are named; the recipes of the repository are valid."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from model.training.recipe import CaptionerRecipe, TextRecipe, data_path, read_recipe
from tests.model.training.recipes import REPOSITORY, write_recipe

MINIMAL = """
name = "toy"
[[data]]
captions = "toy.json"
pictures = ["toy"]
"""


def refused(tmp_path: Path, text: str) -> str:
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"recipe\.toml") as caught:
        read_recipe(path, CaptionerRecipe)
    return str(caught.value)


@pytest.mark.parametrize("path", sorted((REPOSITORY / "recipes").rglob("*.toml")), ids=str)
def test_the_recipes_of_the_repository_can_be_read(path):
    kind = TextRecipe if path.parent.name == "text" else CaptionerRecipe
    assert read_recipe(path, kind).name


def test_the_repository_has_recipes():
    assert (REPOSITORY / "recipes" / "captioner.toml").exists()


def test_a_name_and_data_are_enough(tmp_path):
    (tmp_path / "recipe.toml").write_text(MINIMAL)
    recipe = read_recipe(tmp_path / "recipe.toml", CaptionerRecipe)
    assert recipe.name == "toy"
    assert recipe.data[0].weight == 1.0
    assert recipe.optimisation.tune_from is None


@pytest.mark.parametrize(("given", "taken"), [(None, 5), (0, 0), (9, 9)])
def test_a_given_seed_replaces_the_recipes(tmp_path, given, taken):
    path = write_recipe(tmp_path, tmp_path)
    assert read_recipe(path, CaptionerRecipe, given) == replace(
        read_recipe(path, CaptionerRecipe), seed=taken
    )


def test_tables_are_read_into_their_fields(tmp_path):
    recipe = read_recipe(write_recipe(tmp_path, tmp_path), CaptionerRecipe)
    assert recipe.decoder.hidden_size == 16
    assert recipe.optimisation.batch_size == 4
    assert [data.weight for data in recipe.data] == [1.0, 0.5]


@pytest.mark.parametrize(
    ("line", "where"),
    [
        ("seed = 1.5", "seed"),
        ("colour = 3", "colour"),
        ('version = ""', "version"),
        ("views = 0", "views"),
        ("max_words = 51", "max_words"),
        ("min_count = 0", "min_count"),
        ("workers = -1", "workers"),
        ("checkpoint_minutes = 0", "checkpoint_minutes"),
        ('precision = "int8"', "precision"),
        ('device = "toaster"', "device"),
        ("optimisation.epochs = 0", "optimisation.epochs"),
        ("optimisation.batch_size = 0", "optimisation.batch_size"),
        ("optimisation.captions_each = 0", "optimisation.captions_each"),
        ("optimisation.learning_rate = 0", "optimisation.learning_rate"),
        ("optimisation.learning_rate = inf", "optimisation.learning_rate"),
        ("optimisation.learning_rate = nan", "optimisation.learning_rate"),
        ("optimisation.weight_decay = -1", "optimisation.weight_decay"),
        ("optimisation.clip_norm = 0", "optimisation.clip_norm"),
        ("optimisation.label_smoothing = 1", "optimisation.label_smoothing"),
        ("optimisation.sampling = 1", "optimisation.sampling"),
        ("optimisation.average = 1", "optimisation.average"),
        ("optimisation.warmup = -1", "optimisation.warmup"),
        ("optimisation.patience = 0", "optimisation.patience"),
        ('optimisation.tune_from = "all"', "optimisation.tune_from"),
        ("optimisation.momentum = 0.9", "optimisation.momentum"),
        ("self_critical.samples = 1", "self_critical.samples"),
        ("self_critical.repetition_penalty = -1", "self_critical.repetition_penalty"),
        ("self_critical.cross_entropy_share = 1", "self_critical.cross_entropy_share"),
        ("self_critical.temperature = 0", "self_critical.temperature"),
        ("self_critical.baseline = 1", "self_critical.baseline"),
        ("decoder.dropout = 1", "decoder.dropout"),
        ("decoder.attention_heads = 2", "decoder"),
        ('encoder.name = "resnet18"', "encoder.name"),
        ("preprocessing.size = 1", "preprocessing.size"),
        ("decoding.beam_size = 11", "decoding.beam_size"),
    ],
)
def test_the_error_for_a_wrong_value_names_the_field(tmp_path, line, where):
    assert f"recipe.toml: {where}: " in refused(tmp_path, line + MINIMAL)


def test_self_critical_training_is_optional(tmp_path):
    assert read_recipe(write_recipe(tmp_path, tmp_path), CaptionerRecipe).self_critical is None
    path = write_recipe(tmp_path, tmp_path, {"self_critical": {}})
    settings = read_recipe(path, CaptionerRecipe).self_critical
    assert settings is not None
    assert settings.samples == 5


@pytest.mark.parametrize("other", ['encoder_weights = "b"', "pretrained = true"])
def test_only_one_source_of_initial_weights_is_allowed(tmp_path, other):
    start = f'initial_weights = "a"\n{other}\n'
    message = refused(tmp_path, start + MINIMAL)
    assert "recipe.toml: initial_weights include the encoder's" in message


@pytest.mark.parametrize("name", ["", "../elsewhere", "a b", ".hidden"])
def test_a_name_that_cannot_be_a_folder_is_refused(tmp_path, name):
    text = MINIMAL.replace('"toy"', f'"{name}"', 1)
    assert "recipe.toml: name: " in refused(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ('[[data]]\ncaptions = "a"\npictures = ["b"]', "name"),
        ('name = "toy"', "data"),
        ('name = "toy"\ndata = []', "data"),
        ('name = "toy"\n[[data]]\npictures = ["b"]', "data.0.captions"),
        ('name = "toy"\n[[data]]\ncaptions = "a"', "data.0.pictures"),
        ('name = "toy"\n[[data]]\ncaptions = "a"\npictures = []', "data.0.pictures"),
        (MINIMAL + "weight = 0", "data.0.weight"),
        (MINIMAL + "weight = inf", "data.0.weight"),
        (MINIMAL + MINIMAL.replace('name = "toy"', "") + "weight = -1", "data.1.weight"),
    ],
)
def test_the_error_for_a_missing_field_names_it(tmp_path, text, where):
    assert f"recipe.toml: {where}: " in refused(tmp_path, text)


def test_invalid_toml_is_refused(tmp_path):
    assert "is not valid TOML" in refused(tmp_path, "name: toy")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match=r"binary\.toml is not valid TOML"):
        read_recipe(tmp_path / "binary.toml", CaptionerRecipe)


def test_a_recipe_can_be_json_as_runs_write_it(tmp_path):
    recipe = read_recipe(write_recipe(tmp_path, tmp_path), CaptionerRecipe)
    path = tmp_path / "recipe.json"
    path.write_text(json.dumps(asdict(recipe)))
    assert read_recipe(path, CaptionerRecipe) == recipe
    path.write_text(MINIMAL)
    with pytest.raises(ValueError, match=r"recipe\.json is not valid JSON"):
        read_recipe(path, CaptionerRecipe)


def test_a_missing_recipe_raises_file_not_found(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_recipe(tmp_path / "nowhere.toml", CaptionerRecipe)


def test_a_recipe_of_the_other_kind_is_named(tmp_path):
    text, captioner = tmp_path / "text.toml", tmp_path / "captioner.toml"
    text.write_text('name = "a"\ncorpus = "a.txt"\n')
    captioner.write_text(MINIMAL)
    with pytest.raises(ValueError, match=r"text\.toml: this is a recipe for `unrolled train text`"):
        read_recipe(text, CaptionerRecipe)
    with pytest.raises(
        ValueError, match=r"captioner\.toml: this is a recipe for `unrolled train captioner`"
    ):
        read_recipe(captioner, TextRecipe)


def test_the_environment_sets_the_data_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    here, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    for folder in (here, elsewhere):
        folder.mkdir()
        (folder / "toy-0.tar").touch()
    monkeypatch.delenv("UNROLLED_DATA", raising=False)
    assert data_path("toy-0.tar") == "data/toy-0.tar"
    monkeypatch.setenv("UNROLLED_DATA", str(elsewhere))
    assert data_path("toy-*.tar") == f"{elsewhere}/toy-*.tar"
    assert data_path(f"{here}/toy-0.tar") == f"{here}/toy-0.tar"


def test_data_that_is_not_there_is_an_error_that_names_the_variable(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("UNROLLED_DATA", raising=False)
    with pytest.raises(
        FileNotFoundError, match=r"toy-\*\.tar is not in data/.* UNROLLED_DATA is unset"
    ):
        data_path("toy-*.tar")
    monkeypatch.setenv("UNROLLED_DATA", "/nowhere")
    with pytest.raises(
        FileNotFoundError, match=r"toy\.json is not in /nowhere/, which UNROLLED_DATA names"
    ):
        data_path("toy.json")
    with pytest.raises(FileNotFoundError, match=r"there is no /here/toy\.json"):
        data_path("/here/toy.json")
