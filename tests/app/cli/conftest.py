"""What the tests of the commands share."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from app.cli.main import app


@pytest.fixture
def weights_folder(bundle: Path) -> Path:
    """What UNROLLED_WEIGHTS names: one captioner. A test module may override it."""
    return bundle


@pytest.fixture
def run(weights_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run `unrolled` with these arguments, on the CPU."""
    monkeypatch.setenv("UNROLLED_WEIGHTS", str(weights_folder))
    monkeypatch.setenv("UNROLLED_DEVICE", "cpu")
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])
