import errno
import json
import os
import re
import sys
from collections.abc import Callable
from io import FileIO
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from app.bulk.formats import OutputFormat, choose_format
from app.cli.main import app
from tests.app.outputs import rows
from tests.app.photos import encoded, photo

Run = Callable[..., Result]
KINDS = ["jsonl", "csv", "parquet"]


@pytest.fixture
def run(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("UNROLLED_WEIGHTS", str(bundle))
    monkeypatch.setenv("UNROLLED_DEVICE", "cpu")
    return lambda *arguments: CliRunner().invoke(
        app, ["caption", *(str(argument) for argument in arguments)]
    )


def in_one_line(text: str) -> str:
    """Undo the box and line breaks of a usage error."""
    return re.sub(r"[│╭╮╰╯─\s]+", " ", text)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_holds_what_standard_output_would(
    run: Run, pictures: Path, tmp_path: Path, kind: str
) -> None:
    output, shown = tmp_path / f"found.{kind}", tmp_path / "shown.jsonl"
    shown.write_text(run(pictures, "--format", "jsonl", "--num-captions", "2").stdout)
    result = run(pictures, "--output", output, "--num-captions", "2")
    assert (result.exit_code, result.stdout) == (0, "")
    assert re.fullmatch(
        r"7 pictures captioned, 0 failed, in \d+\.\d s: \d+\.\d pictures a second\n", result.stderr
    )
    assert rows(output) == rows(shown)
    assert len(rows(output)) == 14


def test_parquet_has_tokens_and_the_optional_fields(
    run: Run, pictures: Path, tmp_path: Path, finished_bundle: Path
) -> None:
    import pyarrow.parquet as pq

    output, options = tmp_path / "found.parquet", ["--weights", finished_bundle, "--image-gain"]
    run(pictures, "--output", output, *options)
    lines = run(pictures, "--format", "jsonl", *options).stdout.splitlines()
    table = pq.read_table(output)
    assert table.column_names[-4:] == ["confidence", "agreement", "tokens", "error"]
    for row, line in zip(table.to_pylist(), map(json.loads, lines), strict=True):
        (caption,) = line["captions"]
        assert row["path"] == line["path"]
        assert row["tokens"] == [
            {name: t[name] if name == "token" else pytest.approx(t[name], abs=1e-4) for name in t}
            for t in caption["tokens"]
        ]
        assert row["agreement"] == pytest.approx(caption["agreement"], abs=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_an_existing_file_is_not_overwritten(
    run: Run, pictures: Path, tmp_path: Path, kind: str
) -> None:
    output = tmp_path / f"found.{kind}"
    assert run(pictures / "a.png", "--output", output).exit_code == 0
    before = rows(output)
    refused = run(pictures, "--output", output)
    assert refused.exit_code == 2
    assert "resume it with --resume" in in_one_line(refused.stderr)
    assert rows(output) == before


@pytest.mark.parametrize("kind", KINDS)
def test_resuming_adds_what_is_missing(run: Run, pictures: Path, tmp_path: Path, kind: str) -> None:
    output, whole = tmp_path / f"found.{kind}", tmp_path / f"whole.{kind}"
    options = ["--num-captions", "2", "--resume"]
    names = sorted(pictures.iterdir())
    assert run(*names[:3], "--output", output, *options).exit_code == 0
    result = run(*names, names[0], "--output", output, *options)
    assert result.exit_code == 0
    assert result.stderr.startswith("3 were done before; 5 pictures captioned, 0 failed")
    run(*names, names[0], "--output", whole, *options)
    assert rows(output) == rows(whole)
    again = run(*names, names[0], "--output", output, *options)
    assert again.stderr.startswith("8 were done before; 0 pictures captioned, 0 failed")
    assert rows(output) == rows(whole)


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_a_torn_last_line_is_written_again(
    run: Run, pictures: Path, tmp_path: Path, kind: str
) -> None:
    output = tmp_path / f"found.{kind}"
    options = [pictures, "--output", output, "--num-captions", "2", "--batch-size", "1"]
    run(*options)
    whole = output.read_bytes()
    for cut in (0, 5, len(whole) // 2, len(whole) - 30, len(whole) - 1):
        output.write_bytes(whole[:cut])
        assert run(*options, "--resume").exit_code == 0
        assert output.read_bytes() == whole


@pytest.mark.parametrize("kind", KINDS)
def test_bad_files_are_tried_again(run: Run, pictures: Path, tmp_path: Path, kind: str) -> None:
    output, bad = tmp_path / f"found.{kind}", pictures / "bad.png"
    bad.write_text("no picture")
    for before in ("", "7 were done before; "):
        result = run(pictures, "--output", output, "--resume")
        assert result.exit_code == 1
        report, summary = result.stderr.splitlines()
        assert report.startswith(f"{bad}: unsupported image format")
        assert summary.startswith(f"{before}{0 if before else 7} pictures captioned, 1 failed")
    bad.write_bytes(encoded(photo()))
    assert run(pictures, "--output", output, "--resume").exit_code == 0
    assert rows(output)[-1]["path"] == str(bad)


@pytest.mark.parametrize("kind", KINDS)
def test_other_settings_do_not_resume(
    run: Run, pictures: Path, tmp_path: Path, kind: str, finished_bundle: Path
) -> None:
    output = tmp_path / f"found.{kind}"
    options = [pictures, "--output", output, "--resume"]
    assert run(*options).exit_code == 0
    before = rows(output)
    for other, message in (
        (["--beam-size", "2"], "(beam_size was 3 and is 2)"),
        (["--num-captions", "2"], "(num_captions was 1 and is 2)"),
        (["--weights", finished_bundle], "confidence was False and is True"),
    ):
        refused = run(*options, *other)
        assert refused.exit_code == 2
        assert message in in_one_line(refused.stderr)
    assert rows(output) == before


def test_files_of_other_programs_are_left_alone(run: Run, pictures: Path, tmp_path: Path) -> None:
    lines, folder, file = (tmp_path / name for name in ("a.jsonl", "b.csv", "c.parquet"))
    lines.write_text('{"path": "x.jpg"}\n')
    folder.mkdir()
    file.write_text("PAR1")
    for output, message in (
        (lines, "a.jsonl.settings.json, with the settings it was made with, is missing"),
        (folder, "Is a directory"),
        (file, "it is a file, but Parquet is written as a folder of parts"),
        (tmp_path / "nowhere" / "d.csv", "No such file or directory"),
    ):
        refused = run(pictures, "--output", output, "--resume")
        assert refused.exit_code == 2
        assert message in in_one_line(refused.stderr)
    assert lines.read_text() == '{"path": "x.jpg"}\n'
    assert file.read_text() == "PAR1"


def test_only_bad_files_leave_no_captions(run: Run, tmp_path: Path) -> None:
    for kind in KINDS:
        output = tmp_path / f"found.{kind}"
        assert run(tmp_path / "nowhere.jpg", "--output", output).exit_code == 1
        assert rows(output) == []


def test_a_resumed_run_adds_numbered_parts(
    run: Run, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.bulk.parquet.PICTURES_PER_PART", 2)
    output = tmp_path / "found.parquet"
    names = sorted(map(str, pictures.iterdir()))
    run(*names[:3], "--output", output, "--num-captions", "3")
    (output / "_unfinished").write_bytes(b"PAR1 of a killed run")
    run(*names, "--output", output, "--num-captions", "3", "--resume")
    parts = sorted(path.name for path in output.iterdir())
    assert parts == [f"part-{number:06}.parquet" for number in range(4)]
    assert [row["path"] for row in rows(output)[::3]] == names


def test_the_format_follows_the_suffix() -> None:
    assert choose_format(None, None) is OutputFormat.TEXT
    assert choose_format(None, Path("a/b.CSV")) is OutputFormat.CSV
    assert choose_format(OutputFormat.JSONL, Path("a/b.txt")) is OutputFormat.JSONL
    for requested, output in (
        (OutputFormat.PARQUET, None),
        (None, Path("b.txt")),
        (OutputFormat.TEXT, Path("b.csv")),
    ):
        with pytest.raises(ValueError, match="--output"):
            choose_format(requested, output)


@pytest.mark.parametrize(
    "arguments",
    [["--format", "parquet"], ["--resume"], ["--output", "x.txt"]],
)
def test_wrong_usage(run: Run, arguments: list[str]) -> None:
    result = run("x.jpg", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--output" in result.stderr


def test_a_missing_pyarrow_is_reported_with_its_extra(
    run: Run, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "app.bulk.parquet", raising=False)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    result = run(pictures, "--output", tmp_path / "found.parquet")
    assert result.exit_code == 1
    assert "needs pyarrow" in result.stderr
    assert "-e '.[parquet]'" in result.stderr


def test_a_full_disk_is_reported(
    run: Run, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Complete results are kept, and the next run resumes after them."""
    import app.bulk.outputs as module

    output, write_all, written = tmp_path / "found.jsonl", module._write_all, []

    def full(file: FileIO, text: str) -> None:
        written.append(text)
        if len(written) == 5:  # after the header, which is empty, and three pictures
            file.write(text[:20].encode())
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write_all(file, text)

    with monkeypatch.context() as patched:
        patched.setattr(module, "_write_all", full)
        result = run(pictures, "--output", output)
    assert result.exit_code == 1
    assert result.stderr == f"unrolled: {output}: No space left on device\n"
    assert run(pictures, "--output", output, "--resume").stderr.startswith(
        "3 were done before; 4 pict"
    )
    assert len(rows(output)) == 7
