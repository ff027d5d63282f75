"""The `unrolled` command as a whole: usage errors, --help and --version."""

import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version

import pytest
from click.testing import Result

from tests.app.servers import run_command

Run = Callable[..., Result]


@pytest.mark.parametrize(
    "arguments",
    [
        ["caption"],
        ["caption", ""],
        ["caption", "x.jpg", "--min-confidence", "1.1"],
        ["caption", "x.jpg", "--ray", "--output", "out", "--min-confidence", "0"],
        ["caption", "x.jpg", "--beam-size", "11"],
        ["caption", "x.jpg", "--num-captions", "4"],
        ["caption", "x.jpg", "--format", "xml"],
        ["caption", "x.jpg", "--device", "gpu"],
        ["caption", "x.jpg", "--runtime", "tensorflow"],
        ["caption", "x.jpg", "--ray"],
        ["caption", "x.jpg", "y.jpg", "--ray", "--output", "out"],
        ["caption", "x.jpg", "--ray", "--output", "out", "--resume"],
        ["serve", "--port", "70000"],
        ["train", "captioner"],
        ["train", "captioner", "--config", "nowhere.toml"],
        ["evaluate", "captioner", "--dataset", "nowhere.json"],
        ["write"],
        ["write", "--model", "x", "--temperature", "-1"],
        ["write", "--model", "x", "--n", "0"],
        ["score", "x"],
        ["cells", "x"],
        ["cells", "x", "text", "--unit", "1", "--property", "word next"],
        ["nonsense"],
    ],
)
def test_invalid_usage_exits_with_2(run: Run, arguments: list[str]) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""


def test_help_and_version_import_nothing_slow() -> None:
    code = (
        "import sys; from app.cli.main import app; app(standalone_mode=False); print(*sys.modules)"
    )
    for option in ("--help", "--version"):
        shown = subprocess.run(
            [sys.executable, "-c", code, option], capture_output=True, text=True, check=True
        )
        *lines, modules = shown.stdout.splitlines()
        assert lines
        assert not {"torch", "timm", "fastapi", "PIL"} & set(modules.split())
    assert run_command("--version").stdout == f"unrolled {version('unrolled')}\n"
