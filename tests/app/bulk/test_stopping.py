"""The real command: killed, interrupted, and run on a terminal."""

import json
import os
import pty
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.app.outputs import rows
from tests.app.servers import COMMAND, wait_until


@pytest.fixture
def many(pictures: Path) -> list[str]:
    """Many files but few pictures: enough to take a while."""
    return sorted(map(str, pictures.iterdir())) * 30


@pytest.fixture
def start(bundle: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start the real command as a process that can be killed."""
    started = []

    def begin(*arguments: object) -> subprocess.Popen[str]:
        environment = os.environ | {
            "UNROLLED_WEIGHTS": str(bundle), "UNROLLED_DEVICE": "cpu", "OMP_NUM_THREADS": "1",
        }  # fmt: skip
        # As from a terminal, even if the tests themselves run with Ctrl-C ignored.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        process = subprocess.Popen(
            [*COMMAND, "caption", *map(str, arguments)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        signal.signal(signal.SIGINT, before)
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_a_killed_run_resumes_to_the_same_file(
    start, many: list[str], tmp_path: Path, kind
) -> None:
    output, whole = tmp_path / f"found.{kind}", tmp_path / f"whole.{kind}"
    # Batches of one round alike, wherever the first run ended.
    options = ["--num-captions", "3", "--batch-size", "1"]
    assert start(*many, "--output", whole, *options).wait(120) == 0
    killed = start(*many, "--output", output, *options)
    wait_until(lambda: output.exists() and output.stat().st_size > 20_000)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait(30) == -signal.SIGKILL
    assert 20_000 < output.stat().st_size < whole.stat().st_size
    assert start(*many, "--output", output, *options, "--resume").wait(120) == 0
    assert output.read_bytes() == whole.read_bytes()


@pytest.mark.slow
def test_a_killed_parquet_run_resumes(start, many: list[str], tmp_path: Path) -> None:
    code = (
        "import app.bulk.parquet; app.bulk.parquet.PICTURES_PER_PART = 20; "
        "from app.cli.main import app; app()"
    )
    output = tmp_path / "found.parquet"
    options = ["--output", output, "--batch-size", "1"]
    original = COMMAND[1:]
    COMMAND[1:] = ["-c", code]
    try:
        killed = start(*many, *options)
    finally:
        COMMAND[1:] = original
    wait_until(lambda: len(list(output.glob("part-*"))) >= 3)
    killed.send_signal(signal.SIGKILL)
    killed.wait(30)
    captioned = [row["path"] for row in rows(output)]
    assert captioned == many[: len(captioned)]
    assert 60 <= len(captioned) < len(many)
    assert start(*many, *options, "--resume").wait(120) == 0
    assert [row["path"] for row in rows(output)] == many


@pytest.mark.slow
def test_ctrl_c_stops_at_once_and_leaves_complete_lines(
    start, many: list[str], tmp_path: Path
) -> None:
    output = tmp_path / "found.jsonl"
    process = start(*many * 10, "--output", output, "--batch-size", "2")
    wait_until(lambda: output.exists() and output.stat().st_size > 5_000)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=10)
    assert process.returncode not in (0, None)
    assert "Traceback" not in errors
    assert output.read_bytes().endswith(b"}\n")
    assert 5 < len(rows(output)) < len(many) * 10


@pytest.mark.slow
def test_progress_on_a_terminal_leaves_standard_output_alone(
    start, many: list[str], bundle: Path
) -> None:
    """Standard error is a terminal and gets the bar; standard output is a pipe and does not."""
    terminal, child_end = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "caption", *many[:60], "--format", "jsonl", "--weights", str(bundle)],
        stdout=subprocess.PIPE,
        stderr=child_end,
        env=os.environ | {"UNROLLED_DEVICE": "cpu", "TERM": "xterm", "COLUMNS": "100"},
    )
    os.close(child_end)
    lines, _ = process.communicate(timeout=60)
    shown = b""
    try:
        while chunk := os.read(terminal, 65536):
            shown += chunk
    except OSError:  # the end of a terminal
        pass
    os.close(terminal)
    assert [json.loads(line)["path"] for line in lines.splitlines()] == many[:60]
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())
    assert "Captioning" in plain
    assert "60/60" in plain
    assert re.search(r"\d pictures/s", plain)
    assert '"path"' not in plain
