"""Standard output that is closed, full, or lacks a character."""

import errno
import json
import os
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli.main import app
from tests.app.photos import encoded, photo
from tests.app.servers import COMMAND


def in_latin(weights: Path, *arguments: str) -> bytes:
    """Run a command whose standard output is in cp1252."""
    runner = CliRunner(charset="cp1252", env={"UNROLLED_DEVICE": "cpu"})
    result = runner.invoke(app, [*arguments, "--weights", str(weights)])
    assert result.exit_code == 0, result.stderr
    return result.stdout_bytes


def test_characters_that_the_encoding_lacks_are_escaped(weights: Path, tmp_path: Path) -> None:
    name = tmp_path / "é☃.png"
    name.write_bytes(encoded(photo()))
    shown = in_latin(weights, "caption", str(name))
    assert shown.splitlines()[0] == f"{tmp_path}/é\\u2603.png".encode("cp1252")
    written = in_latin(weights, "write", "--model", "verse", "--prompt", "☃", "--seed", "1")
    assert written.startswith(b"\\u2603")


def test_json_and_csv_are_utf8_everywhere(weights: Path, tmp_path: Path) -> None:
    name = tmp_path / "é☃.png"
    name.write_bytes(encoded(photo()))
    line = in_latin(weights, "caption", str(name), "--format", "jsonl")
    assert json.loads(line.decode("utf-8"))["path"] == str(name)
    assert str(name).encode() in in_latin(weights, "caption", str(name), "--format", "csv")
    text = ("write", "--model", "verse", "--prompt", "☃", "--format", "jsonl", "--max-tokens", "3")
    assert json.loads(in_latin(weights, *text).decode("utf-8"))["prompt"] == "☃"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk_is_one_line(bundle: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*COMMAND, "models", "--weights", str(bundle)],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.stderr == "unrolled: standard output: No space left on device\n"
    assert done.returncode == 1


def test_a_closed_standard_output_is_one_line(bundle: Path) -> None:
    arguments = [*COMMAND, "models", "--weights", str(bundle)]
    done = subprocess.run(
        ["sh", "-c", '"$@" >&-', "sh", *arguments],
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.stderr == "unrolled: standard output: Bad file descriptor\n"
    assert done.returncode == 1


def test_what_the_system_refuses_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "/models/x\x1b")

    monkeypatch.setattr("app.cli.models.list_bundles", refuse)
    result = CliRunner().invoke(app, ["models"])
    assert result.exit_code == 1
    assert result.stderr == "unrolled: /models/x\\x1b: Permission denied\n"
