"""`unrolled study` from end to end, on one page of text and networks of a few units."""

from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from app.cli.study import study
from tests.model.training.recipes import forget_accelerate
from tests.model.training.text_recipes import tale
from tests.tiny import save_tiny_captioner, save_tiny_language_model

CELLS = """--cells rnn,gru --parameters 900 --epochs 1 --streams 16 --steps 32 --order 3
--learning-rates 3e-3 --device cpu""".split()
GRADIENTS = "--steps 10 --rows 3 --training-steps 2 --parameters 900".split()


def run(*arguments: object) -> Result:
    forget_accelerate()
    return CliRunner().invoke(study, [str(argument) for argument in arguments])


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "tale.txt"
    path.write_text(tale(lines=150), encoding="utf-8")
    return path


@pytest.mark.slow
def test_both_studies_write_a_report(corpus: Path, tmp_path: Path) -> None:
    cells = tmp_path / "cells"
    found = run("cells", "--corpus", corpus, "--output", cells, *CELLS)
    assert found.exit_code == 0, found.stderr
    assert found.stdout.strip() == (cells / "cells.md").read_text().strip()
    assert "units a layer" in found.stderr
    gradients = tmp_path / "gradients"
    found = run("gradients", "--runs", cells, "--output", gradients, *GRADIENTS)
    assert found.exit_code == 0, found.stderr
    assert found.stdout.strip() == (gradients / "gradients.md").read_text().strip()
    assert "| gru | after training | state |" in found.stdout
    bundle = next((cells / "runs").glob("gru-*/bundle"))
    found = run("gradients", bundle, "--output", gradients, *GRADIENTS, "--radii", "")
    assert found.exit_code == 0, found.stderr
    assert f"{bundle.parent.name} | after training | state |" in found.stdout
    assert "spectral" not in found.stdout


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--cells", "rnn,qrnn"], 1, "unknown cell 'qrnn'"),
        (["--learning-rates", "fast"], 2, "--learning-rates must be numbers separated"),
        (["--parameters", "10"], 1, "10 parameters are too few"),
    ],
)
def test_bad_options_are_reported(
    corpus: Path, tmp_path: Path, options: list[str], code: int, message: str
) -> None:
    found = run("cells", "--corpus", corpus, "--output", tmp_path / "cells", *options)
    assert found.exit_code == code
    assert message in found.stderr


def test_gradients_need_a_corpus_runs_or_a_bundle(tmp_path: Path) -> None:
    found = run("gradients", "--output", tmp_path)
    assert found.exit_code == 1
    assert "there is nothing to read" in found.stderr
    found = run("gradients", "--runs", tmp_path, "--output", tmp_path)
    assert "holds no finished study" in found.stderr


def test_closing_compares_a_bundle_with_ngrams(tmp_path: Path) -> None:
    program = "f(x[i]); { g(y);\n}\n" * 40
    (tmp_path / "program.txt").write_text(program)
    bundle = save_tiny_language_model(tmp_path / "bundle", text=program)
    arguments = ["closing", bundle, "--corpus", tmp_path / "program.txt", "--device", "cpu"]
    found = run(*arguments, "--orders", "2,3", "--output", tmp_path / "closing")
    assert found.exit_code == 0, found.stderr
    assert found.stdout.strip() == (tmp_path / "closing" / "closing.md").read_text().strip()
    assert "| places | tiny-writer | 2-gram | 3-gram |" in found.stdout
    (tmp_path / "other.txt").write_text("another text (of other characters)\n" * 40)
    found = run("closing", bundle, "--corpus", tmp_path / "other.txt", "--device", "cpu")
    assert found.exit_code == 1
    assert "other has another vocabulary than tiny-writer" in found.stderr
    found = run(*arguments, "--orders", "2,many")
    assert found.exit_code == 2
    assert "--orders must be numbers" in found.stderr


def test_sequences_write_a_report(tmp_path: Path) -> None:
    texts = []
    for name, text in (("low", "abcabd" * 40), ("high", "xyzxzy" * 40)):
        texts.append(tmp_path / f"{name}.txt")
        texts[-1].write_text(text)
    options = "--tasks writer,frames,sum --training-steps 2 --seeds 1 --units 4 --length 8".split()
    output = tmp_path / "sequences"
    found = run("sequences", *texts, "--output", output, *options)
    assert found.exit_code == 0, found.stderr
    assert found.stdout.strip() == (output / "sequences.md").read_text().strip()
    assert "| whose text | many to one | 2 |" in found.stdout
    assert "sum, reversed, attention, seed 1" in found.stderr
    found = run("sequences", "--tasks", "film", "--output", output)
    assert found.exit_code == 1
    assert "there is no task 'film'" in found.stderr


def test_the_first_steps_are_shown(tmp_path: Path) -> None:
    found = run("hello", "--epochs", 60, "--seeds", 1, "--output", tmp_path)
    assert found.exit_code == 0, found.stderr
    assert found.stdout == (tmp_path / "hello.md").read_text()
    assert "| 4 | l | 0 0 1 0 |" in found.stdout
    assert "| trained | hello |" in found.stdout
    assert "| `<START>` cat sat on mat | `<END>` " in found.stdout
    found = run("hello", "--parts", "films", "--output", tmp_path)
    assert found.exit_code == 1
    assert "unknown part 'films': choose from characters, words, temperature" in found.stderr
    found = run("hello", "--seed", 2**64, "--output", tmp_path)
    assert found.exit_code == 2
    assert "--seed" in found.stderr


def test_truncation_tries_every_length_of_a_chunk(tmp_path: Path) -> None:
    options = "--parts alone --cell rnn --training-steps 2 --seeds 1".split()
    found = run("truncation", "--steps", "2,8", "--output", tmp_path, *options)
    assert found.exit_code == 0, found.stderr
    assert found.stdout == (tmp_path / "truncation.md").read_text()
    assert "| chunk | distance 5 | distance 20 | distance 50 |" in found.stdout
    assert "\n| 8 | " in found.stdout
    found = run("truncation", "--steps", "all", "--output", tmp_path)
    assert found.exit_code == 2
    assert "--steps must be numbers separated by commas, not all" in found.stderr


def test_a_part_of_the_activations(tmp_path: Path) -> None:
    found = run("activations", "--parts", "values", "--output", tmp_path)
    assert found.exit_code == 0, found.stderr
    assert found.stdout == (tmp_path / "activations.md").read_text()
    assert "| sigmoid |" in found.stdout
    assert (tmp_path / "activations-values.png").exists()
    found = run("activations", "--parts", "values,moods", "--output", tmp_path)
    assert found.exit_code == 1
    assert "unknown part 'moods'" in found.stderr


def test_a_part_of_normalization(tmp_path: Path) -> None:
    found = run("normalization", "--parts", "equations", "--seeds", 2, "--output", tmp_path)
    assert found.exit_code == 0, found.stderr
    assert found.stdout == (tmp_path / "normalization.md").read_text()
    assert "torch.nn.BatchNorm1d" in found.stdout


def test_a_part_of_preprocessing(tmp_path: Path) -> None:
    found = run("preprocessing", "--parts", "pixels", "--output", tmp_path)
    assert found.exit_code == 0, found.stderr
    assert found.stdout == (tmp_path / "preprocessing.md").read_text()
    assert "| whitened | 0.00 | 0.00 |" in found.stdout
    found = run("preprocessing", "--photographs", tmp_path / "nowhere")
    assert found.exit_code == 2


def test_captioners_are_compared(tmp_path: Path) -> None:
    bundle = save_tiny_captioner(tmp_path / "bundle", kind="global")
    found = run("captioning", bundle, "--output", tmp_path / "found")
    assert found.exit_code == 0, found.stderr
    assert found.stdout == (tmp_path / "found" / "captioning.md").read_text()
    assert "tiny (global, 16 units):" in found.stdout
    found = run("captioning", bundle, "--parts", "gain", "--output", tmp_path / "found")
    assert found.exit_code == 1
    assert "the part gain needs a data set: --dataset and --pictures" in found.stderr
    found = run("captioning", bundle, bundle, "--output", tmp_path / "found")
    assert found.exit_code == 1
    assert "captioners need different names: tiny comes 2 times" in found.stderr
