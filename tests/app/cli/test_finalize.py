"""`unrolled finalize captioner`, and the confidence that `unrolled evaluate captioner` reports."""

import json
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from app.cli.main import app
from model.captioning.captioner import Captioner
from tests.model.data.toys import draw
from tests.model.evaluation.agreeing import write_agreeing_set
from tests.tiny import save_tiny_captioner


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = save_tiny_captioner(tmp_path / "bundle", seed=4)
    write_agreeing_set(tmp_path, Captioner.load(folder, "cpu"))
    draw(1).save(tmp_path / "golden.png")
    return folder


def run(bundle: Path, *words: object) -> Result:
    folder = bundle.parent
    data = ["--dataset", folder / "toys.json", "--pictures", folder / "toys"]
    command = [*words, "--beam-size", "1,3", "--device", "cpu", *data]
    return CliRunner().invoke(app, [str(word) for word in command])


def finalize(bundle: Path, *options: object) -> Result:
    golden = ["--golden", bundle.parent / "golden.png"]
    return run(bundle, "finalize", "captioner", bundle, *golden, *options)


@pytest.mark.slow
def test_a_bundle_is_finalized_and_evaluated(bundle: Path) -> None:
    new, folder = bundle.parent / "new", bundle.parent
    result = finalize(bundle, "--output", new, "--level", 0.3)
    assert result.exit_code == 0, result.output
    assert result.stdout.count("| toys/val |") == 2
    assert {path.name for path in (folder / "reports").iterdir()} == {
        "calibration.json", "calibration.md", "reliability.png",
    }  # fmt: skip
    assert sorted(path.name for path in new.iterdir()) == [
        "README.md", "config.json", "consensus.safetensors", "golden", "mean-picture.safetensors",
        "model.safetensors", "vocabulary.json",
    ]  # fmt: skip
    assert Captioner.load(new, "cpu", self_test=True).config.calibration is not None

    options = ["--split", "val", "--output", folder / "scores"]
    result = run(bundle, "evaluate", "captioner", new, *options)
    assert result.exit_code == 0, result.output
    report = json.loads((folder / "scores" / "toys-val.json").read_text())
    for scores in report["results"]:
        assert scores["calibration"]["count"] == 60
        assert 0 <= scores["calibration"]["ece"] <= 1
        assert scores["calibration"]["equal_mass"]
    assert "| ECE | ECE by chance | Brier |" in result.stdout


def test_a_bundle_is_finalized_without_a_consensus(bundle: Path) -> None:
    result = finalize(bundle, "--output", bundle.parent / "new", "--level", 0.3, "--no-consensus")
    assert result.exit_code == 0, result.output
    assert "ordered by their log-probabilities" in result.stdout
    assert not (bundle.parent / "new" / "consensus.safetensors").exists()


def test_reports_are_written_to_the_given_folder(bundle: Path, tmp_path: Path) -> None:
    reports = tmp_path / "elsewhere"
    result = finalize(bundle, "--output", tmp_path / "new", "--level", 0.3, "--reports", reports)
    assert result.exit_code == 0, result.output
    assert (reports / "calibration.json").exists()
    assert not (tmp_path / "reports").exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--split", "test"], "toys has no split 'test'"),
        (["--golden", __file__], "unsupported image format"),
        (["--limit", 2], "are needed to say what a good caption is"),
    ],
    ids=str,
)
def test_errors_are_reported_in_one_line(bundle: Path, options: list[object], says: str) -> None:
    new = bundle.parent / "new"
    result = finalize(bundle, "--output", new, *options)
    assert result.exit_code == 1
    assert says in result.stderr
    assert "Traceback" not in result.output
    assert not new.exists()


def test_invalid_options_exit_with_2(bundle: Path) -> None:
    for words in (["--output", "x", "--level", "1"], []):
        assert finalize(bundle, *words).exit_code == 2
