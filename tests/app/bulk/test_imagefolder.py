import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from app.bulk.imagefolder import file_name
from app.cli.main import app
from tests.app.photos import encoded, photo

Run = Callable[..., Result]


@pytest.fixture
def run(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("UNROLLED_WEIGHTS", str(bundle))
    monkeypatch.setenv("UNROLLED_DEVICE", "cpu")
    return lambda *arguments: CliRunner().invoke(app, ["caption", *map(str, arguments)])


def in_one_line(text: str) -> str:
    return re.sub(r"[│╭╮╰╯─\s]+", " ", text)


def rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_rows_name_pictures_relative_to_the_file(
    run: Run, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (pictures / "é").mkdir()
    (pictures / "h.png").rename(pictures / "é" / "h.png")
    output = pictures / "metadata.jsonl"
    monkeypatch.chdir(tmp_path)
    result = run("pictures/i.png", "--output", "pictures/metadata.jsonl")
    assert result.exit_code == 0, result.stderr
    monkeypatch.chdir(pictures)  # the same names from elsewhere
    assert run(".", "--output", "metadata.jsonl", "--resume", "--num-captions", "1").exit_code == 0
    shown = [json.loads(line) for line in run(".", "--format", "jsonl").stdout.splitlines()]
    captions = {line["path"]: line["captions"][0]["text"] for line in shown}
    assert {row["file_name"]: row["text"] for row in rows(output)} == captions
    assert rows(output)[0]["file_name"] == "i.png"
    assert len(captions) == 7
    assert set(captions) > {"é/h.png", "f\ng.png", 'd "e".png'}
    before = output.read_bytes()
    assert "7 were done before" in run(pictures, "--output", output, "--resume").stderr
    assert output.read_bytes() == before


def test_failed_files_have_no_row_and_are_tried_again(run: Run, pictures: Path) -> None:
    output, bad = pictures / "metadata.jsonl", pictures / "bad.png"
    bad.write_text("no picture")
    latin = Path(os.fsdecode(os.fsencode(pictures) + b"/\xe9.png"))
    latin.write_bytes(encoded(photo()))
    elsewhere = pictures.parent / "a.png"
    elsewhere.write_bytes(encoded(photo()))
    result = run(pictures, elsewhere, "--output", output)
    assert result.exit_code == 1
    assert "7 pictures captioned, 3 failed" in result.stderr
    assert r"\xe9.png: its name is not UTF-8" in result.stderr
    assert f"{elsewhere}: it is not below {pictures}" in result.stderr
    assert len(rows(output)) == 7
    bad.write_bytes(encoded(photo()))
    latin.unlink()
    result = run(pictures, "--output", output, "--resume")
    assert "7 were done before; 1 pictures captioned, 0 failed" in result.stderr
    assert rows(output)[-1]["file_name"] == "bad.png"


def test_the_file_has_its_one_name(run: Run, pictures: Path) -> None:
    for options, message in (
        (["--format", "imagefolder"], "needs --output, a path that ends in metadata.jsonl"),
        (["--format", "imagefolder", "--output", "a.jsonl"], "that is called metadata.jsonl"),
    ):
        result = run(pictures, *options)
        assert result.exit_code == 2
        assert message in in_one_line(result.stderr).replace(": a path", ", a path")
    with_paths = pictures / "metadata.jsonl"
    assert run(pictures, "--output", with_paths, "--format", "jsonl").exit_code == 0
    assert set(rows(with_paths)[0]) == {"path", "captions"}


def test_names_by_way_of_links(tmp_path: Path) -> None:
    (tmp_path / "real" / "in").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    picture = tmp_path / "link" / "in" / "a.jpg"
    assert file_name(picture, tmp_path / "link") == "in/a.jpg"
    assert file_name(picture, tmp_path / "real") == "in/a.jpg"
    assert file_name(tmp_path / "real" / "in" / ".." / "b.jpg", tmp_path / "link") == "b.jpg"
    with pytest.raises(ValueError, match="not below"):
        file_name(tmp_path / "a.jpg", tmp_path / "real")
    with pytest.raises(ValueError, match="standard input"):
        file_name(Path("-"), tmp_path)
