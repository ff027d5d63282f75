"""`unrolled train` and `unrolled evaluate`: what is measured, and what is told in one line."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli.main import app
from model.bundle.write import save_bundle
from model.data.corpus import Corpus
from tests.model.evaluation.test_language_model import RHYME, writer_of
from tests.model.training.recipes import forget_accelerate, write_data, write_recipe
from tests.model.training.text_recipes import write_text_recipe

DIVIDED = {"validation_share": 0.2, "validation_pieces": 3, "min_count": 2}


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    (tmp_path / "rhyme.txt").write_text(RHYME)
    language_model = writer_of(Corpus.read(tmp_path / "rhyme.txt", characters=300, **DIVIDED))
    config = replace(language_model.config, provenance=DIVIDED | {"training_characters": 300})
    folder = tmp_path / "bundle"
    save_bundle(
        folder, config, language_model.network.state_dict(), language_model.vocabulary, "# Toy\n"
    )
    return folder


def evaluate(bundle: Path, corpus: Path, output: Path) -> tuple[int, str]:
    return unrolled(
        *("evaluate", "text", bundle, "--corpus", corpus, "--output", output, "--order", 2)
    )


def unrolled(*words: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.output


def test_what_validated_is_measured_and_written(bundle, tmp_path):
    code, printed = evaluate(bundle, tmp_path / "rhyme.txt", tmp_path / "reports")
    assert code == 0, printed
    report = json.loads((tmp_path / "reports" / "rhyme-validation.json").read_text())
    corpus = Corpus.read(tmp_path / "rhyme.txt", characters=300, **DIVIDED)
    assert (report["training_tokens"], report["tokens"]) == (300, len(corpus.validation))
    assert f"{report['nats']:.4f}" in printed


def test_another_corpus_is_refused_in_one_line(bundle, tmp_path):
    (tmp_path / "other.txt").write_text("0123456789" * 50)
    code, printed = evaluate(bundle, tmp_path / "other.txt", tmp_path / "reports")
    assert code != 0
    assert "another vocabulary" in printed
    assert "Traceback" not in printed
    assert not (tmp_path / "reports").exists()


def test_a_folder_is_no_corpus_to_measure_on(bundle, tmp_path):
    code, printed = evaluate(bundle, tmp_path, tmp_path / "reports")
    assert code == 2
    assert "'--corpus'" in printed


def test_a_report_that_cannot_be_written_is_told(bundle, tmp_path):
    code, printed = evaluate(bundle, tmp_path / "rhyme.txt", tmp_path / "rhyme.txt")
    assert code == 1
    assert printed.startswith("unrolled: ")
    assert printed.count("\n") == 1
    assert "rhyme.txt" in printed


@pytest.mark.parametrize("kind", ["captioner", "text"])
def test_a_run_may_have_another_seed_than_its_recipe(tmp_path, kind):
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


def test_a_folder_is_no_corpus_to_train_on(tmp_path):
    recipe = write_text_recipe(tmp_path, RHYME, {"corpus": str(tmp_path)})
    code, printed = unrolled("train", "text", "--config", recipe, "--output", tmp_path / "run")
    assert code == 1
    assert printed == f"unrolled: [Errno 21] Is a directory: '{tmp_path}'\n"


def test_a_folder_holds_no_captions(tmp_path):
    data = write_data(tmp_path)
    recipe = write_recipe(
        tmp_path, data, {"data": [{"captions": str(data), "pictures": [f"{data}/meadow"]}]}
    )
    code, printed = unrolled("train", "captioner", "--config", recipe, "--output", tmp_path / "run")
    assert code == 1
    assert printed == f"unrolled: [Errno 21] Is a directory: '{data}'\n"


def test_a_file_is_no_folder_to_train_in(tmp_path):
    recipe = write_text_recipe(tmp_path, RHYME)
    code, printed = unrolled("train", "text", "--config", recipe, "--output", recipe)
    assert code == 1
    assert printed.startswith("unrolled: ")
    assert "recipe.toml" in printed
