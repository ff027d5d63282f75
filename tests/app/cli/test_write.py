"""`unrolled write`, `unrolled score` and `unrolled cells`."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from PIL import Image
from typer.testing import CliRunner

from app.cli.main import app
from model.captioning.captioner import Captioner
from tests.app.photos import encoded, photo
from tests.app.servers import COMMAND
from tests.tiny import VERSE, tiny_language_model

Run = Callable[..., Result]


@pytest.fixture
def run(weights: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("UNROLLED_WEIGHTS", str(weights))
    monkeypatch.setenv("UNROLLED_DEVICE", "cpu")
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


def written(prompt: str = "", **options: object) -> str:
    return "".join(piece.text for piece in tiny_language_model().generate(prompt, **options))


def test_a_text_follows_its_prompt(run: Run, weights: Path) -> None:
    prompt = ("--prompt", "Twin", "--seed", 3)
    options = (*prompt, "--max-tokens", 30, "--temperature", 0.5, "--top-k", 4)
    expected = written("Twin", seed=3, max_tokens=30, temperature=0.5, top_k=4)
    places = ("verse", weights / "text" / "verse")
    by_name, by_path = (run("write", "--model", place, *options) for place in places)
    assert by_name.exit_code == by_path.exit_code == 0
    assert by_name.stdout == by_path.stdout == f"Twin{expected}\n"
    assert by_name.stderr == ""


def test_a_drawn_seed_is_told(run: Run) -> None:
    result = run("write", "--model", "verse")
    word, seed = result.stderr.split()
    assert word == "seed"
    assert result.stdout == written(seed=int(seed)) + "\n"


def test_several_texts(run: Run) -> None:
    result = run("write", "--model", "verse", "--n", 2, "--seed", 7)
    first, second = written(seed=7), written(seed=8)
    assert result.stdout == (f"--- 1 of 2, seed 7 ---\n{first}\n--- 2 of 2, seed 8 ---\n{second}\n")
    lines = [
        json.loads(line)
        for line in run("write", "--model", "verse", "--n", 2, "--seed", 7, "--format", "jsonl")
        .stdout.splitlines()
    ]  # fmt: skip
    assert {line["seed"]: line["text"] for line in lines} == {7: first, 8: second}
    assert all(set(line) == {
        "index", "prompt", "seed", "text", "finish_reason", "logprob", "tokens",
    } for line in lines)  # fmt: skip


def test_stops(run: Run) -> None:
    whole = written(seed=7, max_tokens=50)
    result = run("write", "--model", "verse", "--seed", 7, "--max-tokens", 50,
                 "--stop", whole[20:22], "--stop", "☃")  # fmt: skip
    assert result.stdout == whole[: whole.index(whole[20:22])] + "\n"


def test_a_text_is_shown_while_it_is_written(weights: Path) -> None:
    asked = ["write", "--model", "verse", "--max-tokens", "10000", "--seed", "1"]
    with subprocess.Popen(
        [*COMMAND, *asked],
        env=os.environ | {"UNROLLED_WEIGHTS": str(weights), "UNROLLED_DEVICE": "cpu"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        process.stdout.read(5)
        assert process.poll() is None
        process.stdout.close()  # a reader that stops reading
        assert b"Traceback" not in process.stderr.read()


def test_a_prompt_of_odd_bytes(run: Run) -> None:
    result = run("write", "--model", "verse", "--prompt", "caf\udce9", "--seed", 1)
    assert result.stdout.startswith("caf\N{REPLACEMENT CHARACTER}")


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["write", "--model", "prose"], 1, "there is no model 'prose'"),
        (["write", "--model", "captioner"], 1, "'text' is asked for"),
        (["write", "--model", "verse", "--top-p", "0"], 2, "top_p"),
        (["score", "captioner", "a"], 2, "give --image"),
        (["score", "verse", "a", "--image", __file__], 2, "reads no pictures"),
        (["score", "captioner", "a", "--image", __file__], 1, "no picture that is read here"),
        (["cells", "verse"], 2, "either TEXT or --file"),
        (["cells", "verse", "Twinkle", "--unit", "12"], 1, "there are 0 to 11"),
        (["cells", "verse", "Twinkle", "--property", "mood"], 1, "there is no property 'mood'"),
        (["cells", "verse", "Tw"], 1, "give a longer text, or --unit"),
        (["cells", "notes", "a b"], 1, "this model reads words"),
    ],
)
def test_what_cannot_be_done(run: Run, arguments: list[str], code: int, says: str) -> None:
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (code, "")
    assert says in " ".join(result.stderr.replace("│", "").split())


def test_scores(run: Run, weights: Path, tmp_path: Path) -> None:
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
    asked = ("score", "captioner", "a red ball", "--image", tmp_path / "a.png")
    line = json.loads(run(*asked, "--format", "jsonl").stdout)
    caption = Captioner.load(weights / "captioner", "cpu").score(photo(), "a red ball")
    assert line["logprob"] == pytest.approx(caption.logprob, abs=1e-4)
    assert "bits_per_character" not in line


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


def test_cells_of_one_unit_and_one_property(run: Run) -> None:
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
