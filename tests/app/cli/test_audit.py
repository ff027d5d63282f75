import csv
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from PIL import Image

from tests.app.photos import encoded
from tests.tiny import COLOURS

Run = Callable[..., Result]


@pytest.fixture
def weights_folder(finished_bundle: Path) -> Path:
    return finished_bundle


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Three pictures of one colour, and texts: one empty, one of unknown words, one file bad."""
    for colour in COLOURS:
        (tmp_path / f"{colour}.png").write_bytes(encoded(Image.new("RGB", (30, 20), colour)))
    (tmp_path / "bad.png").write_text("no picture")
    rows = [
        ("red.png", "A red ball, on the grass"),
        ("navy.png", "=blue water"),
        ("white.png", ""),
        ("white.png", "quarterly figures"),
        ("bad.png", "a dog"),
        ("gone.png", "a dog"),
        (tmp_path / "white.png", "a dog"),
    ]
    path = tmp_path / "alts.csv"
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file).writerows([("path", "alt"), *rows])
    return path


def unframed(text: str) -> str:
    return re.sub(r"[│╭╮╰╯─\s]+", " ", text)


def test_every_text_gets_a_verdict_and_its_numbers(run: Run, table: Path, tmp_path: Path) -> None:
    output = tmp_path / "found.jsonl"
    result = run("audit", table, "--output", output, "--batch-size", "2", "--threshold", "0")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "bad.png: unsupported image format" in result.stderr
    assert "gone.png: no such file" in result.stderr
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    verdicts = ["fits", "fits", "empty", "not known", "failed", "failed", "fits"]
    assert [row["verdict"] for row in rows] == verdicts
    assert 0 < rows[0]["match"] < 1
    assert rows[0]["agreement"] > 0
    assert rows[2]["match"] is None
    assert result.stderr.endswith("7 texts: 3 fits, 2 failed, 1 empty, 1 not known\n")


def test_texts_that_do_not_fit_are_listed_worst_first(
    run: Run, table: Path, tmp_path: Path
) -> None:
    output = tmp_path / "found.csv"
    result = run("audit", table, "--output", output, "--threshold", "1")
    with output.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    wrong = [row for row in rows if row["verdict"] == "does not fit"]
    assert len(wrong) == 3
    assert rows[1]["text"] == "'=blue water"
    shown = re.findall(r"^ *(\d+)%", result.stdout, re.MULTILINE)
    expected = sorted(round(100 * float(row["match"])) for row in wrong)
    assert [int(percent) for percent in shown] == expected
    refused = run("audit", table, "--output", output)
    assert refused.exit_code == 2
    assert "--overwrite replaces it" in unframed(refused.stderr)
    assert run("audit", table, "--output", output, "--overwrite").exit_code == 1


def test_columns_and_folders_by_other_names(run: Run, table: Path, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere" / "site.csv"
    other.parent.mkdir()
    other.write_text("id,src,Alternative\n1,red.png,a red ball\n")
    columns = ["--path-column", "src", "--alt-column", "Alternative"]
    assert run("audit", other, *columns, "--root", tmp_path, "--threshold", "0").exit_code == 0
    assert "no such file" in run("audit", other, *columns).stderr
    refused = run("audit", other)
    assert refused.exit_code == 2
    assert "has no column 'path', only id, src, Alternative" in unframed(refused.stderr)


def test_tables_that_cannot_be_used(run: Run, tmp_path: Path, bundle: Path, table: Path) -> None:
    latin = tmp_path / "latin.csv"
    latin.write_bytes("path,alt\na.jpg,caf\xe9\n".encode("latin-1"))
    long = tmp_path / "long.csv"
    long.write_text(f"path,alt\na.jpg,{'a' * (1 << 21)}\n")
    for arguments, message in (
        ([latin], "is not UTF-8: save it as CSV in UTF-8"),
        ([long], "is not CSV: field larger than field limit"),
        ([table, "--output", "a.txt"], "must end in .csv or .jsonl"),
        ([tmp_path / "nowhere.csv"], "does not exist"),
    ):
        refused = run("audit", *arguments)
        assert refused.exit_code == 2
        assert message in unframed(refused.stderr)
    lacking = run("audit", table, "--weights", bundle)
    assert lacking.exit_code == 1
    needed = "a mean picture and a table of expected words"
    assert f"{needed}, which the captioner 'tiny' lacks" in lacking.stderr


def test_a_path_that_no_file_can_have_does_not_stop_the_rest(
    run: Run, table: Path, tmp_path: Path
) -> None:
    with table.open("a") as file:
        file.write(f"{'long' * 1_250}.png,a dog\nnul\0.png,a dog\nred.png,a ball\n")
    output = tmp_path / "found.jsonl"
    result = run("audit", table, "--output", output, "--threshold", "0")
    assert result.exit_code == 1
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    assert [row["verdict"] for row in rows[-3:]] == ["failed", "failed", "fits"]
    assert rows[-3]["error"] == "File name too long"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,alt,alt\na.png,a dog,a cat\n", "several columns 'alt'"),
        ('path,alt\na.png,"a dog\nb.png,a cat\n', "is not CSV: unexpected end of data"),
    ],
)
def test_tables_of_which_a_part_would_be_lost_are_refused(
    run: Run, tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "lossy.csv").write_text(text)
    result = run("audit", tmp_path / "lossy.csv")
    assert result.exit_code == 2
    assert message in unframed(result.stderr)
