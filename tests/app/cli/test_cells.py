"""`unrolled cells`."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from PIL import Image

from tests.tiny import VERSE

Run = Callable[..., Result]


@pytest.fixture
def weights_folder(weights: Path) -> Path:
    """A captioner and two language models."""
    return weights


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["cells", "verse"], 2, "either TEXT or --file"),
        (["cells", "verse", "Twinkle", "--unit", "12"], 1, "there are 0 to 11"),
        (["cells", "verse", "Twinkle", "--property", "mood"], 1, "there is no property 'mood'"),
        (["cells", "verse", "Tw"], 1, "give a longer text, or --unit"),
        (["cells", "notes", "a b"], 1, "this model reads words"),
    ],
)
def test_errors_are_reported(run: Run, arguments: list[str], code: int, says: str) -> None:
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (code, "")
    assert says in " ".join(result.stderr.replace("│", "").split())


def test_cells_are_ranked_shown_and_drawn(run: Run, tmp_path: Path) -> None:
    text, page, picture = tmp_path / "verse.txt", tmp_path / "a.html", tmp_path / "a.png"
    text.write_text(VERSE * 5)
    result = run("cells", "verse", "--file", text, "--html", page, "--png", picture)
    assert result.exit_code == 0, result.stderr
    for found in ("position in line", "word next", "chance", "auc", "spearman", VERSE * 5):
        assert found in result.stdout
    assert "brace depth" not in result.stdout
    assert page.read_text().startswith("<!doctype html>")
    with Image.open(picture) as drawn:
        assert drawn.format == "PNG"


def test_one_unit_or_one_property_is_shown(run: Run) -> None:
    result = run("cells", "verse", VERSE * 5, "--unit", "layer 1 unit 3")
    assert result.stdout.count("layer 1 unit 3") == 5
    result = run("cells", "verse", VERSE * 5, "--property", "word next")
    assert result.stdout.count("word next") == 11
    result = run("cells", "notes", "a b c", "--unit", "3")
    assert result.stdout == "layer 1 unit 3\na b c\n"


def test_cells_are_coloured_in_a_terminal(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLORTERM", "truecolor")
    result = run("cells", "verse", "Twinkle, twinkle", "--unit", "3")
    assert "\x1b[38;2;0;0;0;48;2;" in result.stdout


@pytest.mark.parametrize("text", ["caf\xe9", "\x89PNG"])
def test_a_file_that_is_not_utf8_is_named(run: Run, tmp_path: Path, text: str) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes(text.encode("latin-1"))
    result = run("cells", "verse", "--file", file)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(
        f"unrolled: {file} is not UTF-8 (byte {text.index(max(text)) + 1}"
    )
