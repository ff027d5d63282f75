"""`unrolled train`: the options of a run, and which errors are reported in one line."""

import json

import pytest
from typer.testing import CliRunner

from app.cli.main import app
from tests.model.evaluation.test_language_model import RHYME
from tests.model.training.recipes import forget_accelerate, write_data, write_recipe
from tests.model.training.text_recipes import write_text_recipe


def unrolled(*words: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.output


@pytest.mark.parametrize("kind", ["captioner", "text"])
def test_the_seed_option_overrides_the_recipe(tmp_path, kind):
    if kind == "captioner":
        recipe = write_recipe(tmp_path, write_data(tmp_path), {"optimisation": {"epochs": 1}})
    else:
        recipe = write_text_recipe(tmp_path, RHYME, {"optimisation": {"epochs": 1}})
    forget_accelerate()
    code, printed = unrolled(
        *("train", kind, "--config", recipe, "--output", tmp_path / "run", "--seed", 9)
    )
    assert code == 0, printed
    assert json.loads((tmp_path / "run" / "recipe.json").read_text())["seed"] == 9


def test_a_folder_as_corpus_is_refused(tmp_path):
    recipe = write_text_recipe(tmp_path, RHYME, {"corpus": str(tmp_path)})
    code, printed = unrolled("train", "text", "--config", recipe, "--output", tmp_path / "run")
    assert code == 1
    assert printed == f"unrolled: [Errno 21] Is a directory: '{tmp_path}'\n"


def test_a_folder_as_captions_is_refused(tmp_path):
    data = write_data(tmp_path)
    recipe = write_recipe(
        tmp_path, data, {"data": [{"captions": str(data), "pictures": [f"{data}/meadow"]}]}
    )
    code, printed = unrolled("train", "captioner", "--config", recipe, "--output", tmp_path / "run")
    assert code == 1
    assert printed == f"unrolled: [Errno 21] Is a directory: '{data}'\n"


def test_a_file_as_output_is_refused(tmp_path):
    recipe = write_text_recipe(tmp_path, RHYME)
    code, printed = unrolled("train", "text", "--config", recipe, "--output", recipe)
    assert code == 1
    assert printed.startswith("unrolled: ")
    assert "recipe.toml" in printed
