"""Outputs with odd names and failed files, and outputs that two runs want; no model is needed."""

import csv
import json
import os
from pathlib import Path

import pytest

from app.bulk.destination import Destination
from app.bulk.formats import OptionalFields, OutputFormat
from app.bulk.outputs import Output, OutputError, open_output
from app.bulk.results import CaptionedFile, FailedFile, FileResult
from model.captioning.caption import Caption, Token
from model.captioning.wording import WordingConfig

KINDS = ["jsonl", "csv", "parquet"]
NAMES = [b"l1-\xe9.jpg", b"l1-\xe8.jpg", rb"l1-\xe9.jpg", b"a\rb.jpg", b"=1+1.jpg", b"'=1+1.jpg"]
PATHS = [Path(os.fsdecode(name)) for name in NAMES]


def captioned(path: Path) -> CaptionedFile:
    tokens = (Token("a", -0.5), Token("<end>", -0.5))
    return CaptionedFile(path, [Caption("a", -1.0, -0.5, True, tokens, confidence=0.4)])


def opened(path: Path, *, relative: bool = False) -> Output:
    fields = OptionalFields(confidence=True)
    kind = OutputFormat(path.suffix.removeprefix("."))
    return open_output(path, kind, fields, {"num_captions": 1}, resume=True, relative=relative)


def write(path: Path, *results: FileResult) -> None:
    output = opened(path)
    for result in results:
        output.write(result)
    output.close()


def rows(path: Path) -> list[dict]:
    match path.suffix:
        case ".jsonl":
            found = [json.loads(line) for line in path.read_text("utf-8").split("\n")[:-1]]
            return [
                {"path": row["path"], "error": row.get("error")}
                | {"caption": "".join(one["text"] for one in row["captions"]) or None}
                for row in found
            ]
        case ".csv":
            with path.open(newline="", encoding="utf-8") as file:
                found = [{k: v or None for k, v in row.items()} for row in csv.DictReader(file)]
        case _:
            import pyarrow.parquet as pq

            found = pq.read_table(path).to_pylist()
    return [{name: row[name] for name in ("path", "error", "caption")} for row in found]


@pytest.mark.parametrize("kind", KINDS)
def test_every_name_is_told_apart_and_found_again(tmp_path: Path, kind: str) -> None:
    output = tmp_path / f"found.{kind}"
    write(output, *(captioned(path) for path in PATHS[1:]))
    again = opened(output)
    assert [each.file for each in Destination(again).plan(PATHS)] == PATHS[:1]
    again.write(captioned(PATHS[0]))
    again.close()
    names = [row["path"] for row in rows(output)]
    assert len(set(names)) == len(NAMES)
    assert names[:2] == [r"l1-\xe8.jpg", r"l1-\x5cxe9.jpg"]
    assert names[3] == ("'=1+1.jpg" if kind == "csv" else "=1+1.jpg")


@pytest.mark.parametrize("kind", KINDS)
def test_a_failed_file_has_a_row_until_it_is_captioned(tmp_path: Path, kind: str) -> None:
    output, a, b, c = tmp_path / f"found.{kind}", Path("a"), Path("b"), Path("c")
    write(output, FailedFile(a, "empty"), captioned(b), FailedFile(c, "not, a picture"))
    assert rows(output) == [
        {"path": "a", "error": "empty", "caption": None},
        {"path": "b", "error": None, "caption": "a"},
        {"path": "c", "error": "not, a picture", "caption": None},
    ]
    again = opened(output)
    assert [each.file for each in Destination(again).plan([a, b, c])] == [a, c]
    again.write(captioned(a))
    again.write(FailedFile(c, "still none"))
    again.close()
    assert [(row["path"], row["error"]) for row in rows(output)] == [
        ("b", None), ("a", None), ("c", "still none"),
    ]  # fmt: skip
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("kind", KINDS)
def test_a_weak_caption_is_left_empty(tmp_path: Path, kind: str) -> None:
    output, strong = tmp_path / f"found.{kind}", captioned(Path("a"))
    weak = strong.reworded(WordingConfig(min_confidence=0.5))
    assert strong.reworded(WordingConfig(min_confidence=0.4)) == strong
    assert (weak.captions[0].text, weak.captions[0].tokens) == ("", ())
    assert weak.captions[0].confidence == 0.4
    write(output, weak)
    (row,) = rows(output)
    assert not row["caption"]
    assert row["error"] is None
    assert opened_and_closed(output) == {"a": 1}


def opened_and_closed(path: Path) -> dict[str, int]:
    output = opened(path)
    output.close()
    return dict(output.done)


def test_a_caption_without_confidence_is_weak() -> None:
    (caption,) = captioned(Path("a")).captions
    unknown = Caption(caption.text, -1.0, -0.5, False, caption.tokens)
    worded = CaptionedFile(Path("a"), [unknown]).reworded(WordingConfig(min_confidence=0.0))
    assert worded.captions[0].text == ""


@pytest.mark.parametrize("kind", KINDS)
def test_two_runs_cannot_write_one_output(tmp_path: Path, kind: str) -> None:
    output = tmp_path / f"found.{kind}"
    first = opened(output)
    with pytest.raises(OutputError, match="is being written by another run: wait until it ends"):
        opened(output)
    first.write(captioned(Path("a")))
    first.close()
    assert opened_and_closed(output) == {"a": 1}
    assert not (tmp_path / f".found.{kind}.lock").exists()


def test_a_refused_output_is_not_locked(tmp_path: Path) -> None:
    output = tmp_path / "found.jsonl"
    write(output)
    for _ in range(2):
        with pytest.raises(OutputError, match="already exists"):
            open_output(output, OutputFormat.JSONL, OptionalFields(), {}, resume=False)


@pytest.mark.parametrize("kind", KINDS)
def test_relative_paths_are_only_resumed_where_they_began(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    output, elsewhere = tmp_path / f"found.{kind}", tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(tmp_path)
    write(output, captioned(Path("a.jpg")))
    monkeypatch.chdir(elsewhere)
    with pytest.raises(OutputError, match=f"its paths are relative to {tmp_path}: run it there"):
        opened(output, relative=True)
    opened(output).close()  # absolute paths are the same everywhere
    monkeypatch.chdir(tmp_path)
    opened(output, relative=True).close()


@pytest.mark.parametrize("content", [b"{", b"\xff"])
def test_damaged_settings_are_named(tmp_path: Path, content: bytes) -> None:
    output = tmp_path / "found.jsonl"
    write(output, captioned(Path("a")))
    (tmp_path / "found.jsonl.settings.json").write_bytes(content)
    with pytest.raises(OutputError, match=r"found\.jsonl\.settings\.json, .*, is damaged"):
        opened(output)
