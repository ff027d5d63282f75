"""`unrolled export`: every model is exported, once."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Run = Callable[..., Result]


@pytest.mark.slow
def test_a_model_is_exported_once(run: Run, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("UNROLLED_CACHE", str(tmp_path))
    folders = {run("export").stdout.strip() for _ in range(2)}
    (folder,) = map(Path, folders)
    assert folder.parent == tmp_path / "openvino"
    assert (folder / "step.xml").is_file()


@pytest.mark.slow
def test_all_models_are_exported(
    run: Run, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNROLLED_CACHE", str(tmp_path))
    result = run("export", "--weights", weights)
    folders = [Path(line) for line in result.stdout.split()]
    assert len(set(folders)) == 3
    assert all((folder / "step.xml").is_file() for folder in folders)
