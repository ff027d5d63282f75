"""`unrolled evaluate text` and `writing`: what is measured, and errors in one line."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli.main import app
from model.bundle.write import save_bundle
from model.data.corpus import Corpus
from tests.model.evaluation.test_language_model import RHYME, writer_of

SPLIT = {"validation_share": 0.2, "validation_pieces": 3, "min_count": 2}


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    (tmp_path / "rhyme.txt").write_text(RHYME)
    language_model = writer_of(Corpus.read(tmp_path / "rhyme.txt", characters=300, **SPLIT))
    config = replace(language_model.config, provenance=SPLIT | {"training_characters": 300})
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


def test_the_validation_part_is_measured_and_reported(bundle, tmp_path):
    code, printed = evaluate(bundle, tmp_path / "rhyme.txt", tmp_path / "reports")
    assert code == 0, printed
    report = json.loads((tmp_path / "reports" / "rhyme-validation.json").read_text())
    corpus = Corpus.read(tmp_path / "rhyme.txt", characters=300, **SPLIT)
    assert (report["training_tokens"], report["tokens"]) == (300, len(corpus.validation))
    assert f"{report['nats']:.4f}" in printed


def test_another_corpus_is_refused(bundle, tmp_path):
    (tmp_path / "other.txt").write_text("0123456789" * 50)
    code, printed = evaluate(bundle, tmp_path / "other.txt", tmp_path / "reports")
    assert code != 0
    assert "another vocabulary" in printed
    assert "Traceback" not in printed
    assert not (tmp_path / "reports").exists()


def test_a_folder_as_corpus_is_refused(bundle, tmp_path):
    code, printed = evaluate(bundle, tmp_path, tmp_path / "reports")
    assert code == 2
    assert "'--corpus'" in printed


def test_a_report_that_cannot_be_written_is_an_error(bundle, tmp_path):
    code, printed = evaluate(bundle, tmp_path / "rhyme.txt", tmp_path / "rhyme.txt")
    assert code == 1
    assert printed.startswith("unrolled: ")
    assert printed.count("\n") == 1
    assert "rhyme.txt" in printed


def judge(bundle: Path, corpus: Path, output: Path, *more: object) -> tuple[int, str]:
    few = ("--texts", 2, "--characters", 40, "--temperatures", "0.5", "--orders", "4")
    return unrolled(
        *("evaluate", "writing", bundle, "--corpus", corpus, "--output", output, *few, *more)
    )


def test_writing_is_judged_and_reported(bundle, tmp_path):
    code, printed = judge(bundle, tmp_path / "rhyme.txt", tmp_path / "reports")
    assert code == 0, printed
    report = json.loads((tmp_path / "reports" / "rhyme-writing.json").read_text())
    names = ["corpus, unseen", "toy, 0.5", "4-gram, 0.5"]
    assert [one["name"] for one in report["judgements"]] == names
    assert all(f"\n| {name} | " in printed for name in names)
    assert "not judged" in printed


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (["--temperatures", "warm"], 2, "--temperatures must be numbers like 0.5,0.8, not warm"),
        (["--orders", "2.5"], 2, "--orders must be numbers like 10,20, not 2.5"),
        (["--temperatures", "-1"], 1, "temperature"),
        (["--characters", "9999"], 1, "ask for shorter texts"),
    ],
)
def test_numbers_that_cannot_be_used_are_refused(bundle, tmp_path, options, code, says):
    given, printed = judge(bundle, tmp_path / "rhyme.txt", tmp_path / "reports", *options)
    assert given == code
    assert says in " ".join(printed.replace("│", " ").split())
    assert not (tmp_path / "reports").exists()


def test_no_ngrams_may_be_asked_for(bundle, tmp_path):
    code, printed = judge(bundle, tmp_path / "rhyme.txt", tmp_path / "reports", "--orders", "")
    assert code == 0, printed
    assert "-gram" not in printed
