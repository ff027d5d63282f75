"""The real command in its own process, and a folder in which pictures arrive."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result

from tests.app.photos import encoded, photo
from tests.app.servers import COMMAND, wait_until

Run = Callable[..., Result]
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start the real command with the shipped captioner, which loads without PyTorch."""
    started = []

    def begin(*arguments: object) -> subprocess.Popen[str]:
        environment = os.environ | {
            "UNROLLED_DEVICE": "cpu", "UNROLLED_RUNTIME": "openvino", "OMP_NUM_THREADS": "1",
        }  # fmt: skip
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        process = subprocess.Popen(
            [*COMMAND, "watch", *map(str, arguments), "--settle", "0.5"],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        signal.signal(signal.SIGINT, before)
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def lines(path: Path) -> list[dict]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines()]


def end(process: subprocess.Popen[str], number: int = signal.SIGINT) -> str:
    process.send_signal(number)
    shown, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    assert "Traceback" not in errors
    assert shown == ""
    return errors


def test_what_arrives_is_captioned_once_and_a_restart_goes_on(start: Start, tmp_path: Path) -> None:
    folder, output = tmp_path / "in", tmp_path / "found.jsonl"
    folder.mkdir()
    (folder / "there.png").write_bytes(encoded(photo()))
    options = [folder, "--output", output, "--sidecar", "txt", "--sidecar", "xmp"]
    process = start(*options)
    wait_until(lambda: len(lines(output)) == 1, 120)
    whole = encoded(photo(90, 70), "JPEG", quality=95)
    with (folder / "slow.jpg").open("wb", buffering=0) as file:
        file.write(whole[: len(whole) // 2])  # not for long enough to count as whole
        (folder / "bad.jpg").write_text("no picture")
        file.write(whole[len(whole) // 2 :])
    (folder / "sub").mkdir()
    (folder / "sub" / "b.png.part").write_bytes(encoded(photo(30, 40)))
    (folder / "sub" / "b.png.part").rename(folder / "sub" / "b.png")
    (folder / "@eaDir").mkdir()
    (folder / "@eaDir" / "c.png").write_bytes(encoded(photo()))
    wait_until(lambda: (folder / "sub" / "b.png.xmp").exists() and len(lines(output)) == 3, 120)
    errors = end(process)
    assert errors.count("bad.jpg: unsupported image format") == 1
    assert errors.endswith("3 pictures captioned, 1 failed\n")
    names = {str(folder / name) for name in ("there.png", "slow.jpg", "sub/b.png")}
    assert {line["path"] for line in lines(output)} == names
    assert (folder / "slow.txt").read_text() == next(
        line["captions"][0]["text"] + "\n" for line in lines(output) if "slow" in line["path"]
    )

    (folder / "while-down.png").write_bytes(encoded(photo(50, 50)))
    (folder / "bad.jpg").write_bytes(encoded(photo(40, 40), "JPEG"))  # mended
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.txt")}
    process = start(*options)
    wait_until(lambda: len(lines(output)) == 5, 120)
    assert end(process, signal.SIGTERM).endswith("2 pictures captioned, 0 failed\n")
    assert {line["path"] for line in lines(output)} == names | {
        str(folder / "while-down.png"), str(folder / "bad.jpg"),
    }  # fmt: skip
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    assert len(list(folder.rglob("*.xmp"))) == 5


def test_a_bad_picture_is_tried_again_when_it_changes(start: Start, tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    picture.write_bytes(encoded(photo())[:100])
    output = tmp_path / "metadata.jsonl"
    process = start(tmp_path, "--output", output)
    while "a.png: " not in process.stderr.readline():
        assert process.poll() is None
    picture.write_bytes(encoded(photo()))
    wait_until(lambda: len(lines(output)) == 1)
    assert lines(output)[0]["file_name"] == "a.png"
    assert end(process).endswith("1 pictures captioned, 1 failed\n")


def test_options_that_do_not_go_together(run: Run, tmp_path: Path) -> None:
    for options, message in (
        ([tmp_path / "nowhere"], "does not exist"),
        ([tmp_path, "--output", tmp_path / "a.parquet"], "watch writes .jsonl or .csv"),
        ([tmp_path, "--tags"], "--tags needs --sidecar xmp"),
    ):
        result = run("watch", *options)
        assert result.exit_code == 2
        assert message in re.sub(r"[│╭╮╰╯─\s]+", " ", result.stderr)
