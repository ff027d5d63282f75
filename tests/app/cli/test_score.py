"""`unrolled score`."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from model.captioning.captioner import Captioner
from tests.app.photos import encoded, photo
from tests.tiny import tiny_language_model

Run = Callable[..., Result]


@pytest.fixture
def weights_folder(weights: Path) -> Path:
    """A captioner and two language models."""
    return weights


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["score", "captioner", "a"], 2, "give the picture with --image"),
        (["score", "verse", "a", "--image", __file__], 2, "leave out --image"),
        (["score", "captioner", "a", "--image", __file__], 1, "unsupported image format"),
    ],
)
def test_errors_are_reported(run: Run, arguments: list[str], code: int, says: str) -> None:
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (code, "")
    assert says in " ".join(result.stderr.replace("│", "").split())


def test_texts_and_captions_are_scored(run: Run, weights: Path, tmp_path: Path) -> None:
    expected = tiny_language_model().score("Twin\n")
    line = json.loads(run("score", "verse", "Twin\n", "--format", "jsonl").stdout)
    assert line["logprob"] == pytest.approx(expected.logprob, abs=1e-4)
    assert line["bits_per_character"] == pytest.approx(expected.bits_per_character, abs=1e-4)
    table = run("score", "verse", "Twin\n").stdout.splitlines()
    assert [row.split()[1] for row in table[:5]] == ["T", "w", "i", "n", "'\\n'"]
    assert [row.split(maxsplit=1)[1] for row in table[5:]] == [
        "logprob", "mean logprob", "perplexity", "bits per character",
    ]  # fmt: skip
    (tmp_path / "a.png").write_bytes(encoded(photo()))
    command = ("score", "captioner", "a red ball", "--image", tmp_path / "a.png")
    line = json.loads(run(*command, "--format", "jsonl").stdout)
    caption = Captioner.load(weights / "captioner", "cpu").score(photo(), "a red ball")
    assert line["logprob"] == pytest.approx(caption.logprob, abs=1e-4)
    assert "bits_per_character" not in line
