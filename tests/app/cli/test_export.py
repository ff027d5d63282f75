"""`unrolled export`: bundles get the graphs that they lack."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from model.bundle.format import BundleError
from model.bundle.read import load_text_bundle
from model.runtime.export import exported_folder
from tests.tiny import save_tiny_captioner, save_tiny_language_model

Run = Callable[..., Result]


@pytest.mark.slow
def test_graphs_are_added_to_every_bundle_that_lacks_them(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNROLLED_CACHE", str(tmp_path / "cache"))
    weights = tmp_path / "weights"
    captioner = save_tiny_captioner(weights / "captioner")
    writer = save_tiny_language_model(weights / "text" / "verse")
    lines = run("export", "--weights", weights).stdout.splitlines()
    assert lines == [f"{folder}: graphs added" for folder in (captioner, writer)]
    assert {p.name for p in (captioner / "graphs").iterdir()} == {
        f"{name}.{suffix}" for name in ("encode", "context", "step") for suffix in ("xml", "bin")
    }
    before = (writer / "config.json").read_bytes()
    lines = run("export", "--weights", weights).stdout.splitlines()
    assert lines == [f"{folder}: graphs are there" for folder in (captioner, writer)]
    assert (writer / "config.json").read_bytes() == before
    assert exported_folder(load_text_bundle(writer)) == writer / "graphs"
    (writer / "graphs" / "step.xml").write_text("<net/>")
    with pytest.raises(BundleError, match=r"step\.xml is damaged"):
        load_text_bundle(writer)
