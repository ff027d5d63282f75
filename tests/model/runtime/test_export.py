"""Graphs are exported once, by another process, and whole or not at all."""

from pathlib import Path

import pytest

from model.bundle.read import Bundle, load_bundle
from model.config import CaptionerConfig, TextConfig
from model.runtime import export as export_module
from model.runtime.export import (
    ExportError,
    cache_folder,
    export,
    export_in_process,
    exported_folder,
)
from tests.tiny import save_tiny_captioner, save_tiny_language_model


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bundle[CaptionerConfig]:
    monkeypatch.setenv("UNROLLED_CACHE", str(tmp_path / "cache"))
    return load_bundle(save_tiny_captioner(tmp_path / "tiny"), CaptionerConfig)


@pytest.mark.slow
def test_another_process_exports_a_bundle_once(bundle, monkeypatch):
    assert exported_folder(bundle) is None
    (folder,) = export(bundle)
    assert folder.parent.parent == cache_folder()
    assert sorted(path.name for path in folder.iterdir()) == [
        "context.bin", "context.xml", "encode.bin", "encode.xml", "step.bin", "step.xml",
    ]  # fmt: skip
    monkeypatch.setattr(export_module, "subprocess", None)  # no process is started again
    assert export(bundle) == [folder]


@pytest.mark.slow
def test_one_process_exports_all_missing_bundles(bundle, tmp_path, monkeypatch):
    made = export_in_process(bundle)
    language_model = load_bundle(save_tiny_language_model(tmp_path / "writer"), TextConfig)
    commands, run = [], export_module.subprocess.run

    def noted_run(command: list[str], **options: object) -> object:
        commands.append(command)
        return run(command, **options)

    monkeypatch.setattr(export_module.subprocess, "run", noted_run)
    folder, text_folder = export(bundle, language_model)
    assert (folder, text_folder) == (made, exported_folder(language_model))
    assert sorted(path.name for path in text_folder.iterdir()) == ["step.bin", "step.xml"]
    ((*_, argument),) = commands
    assert argument == str(language_model.folder)


@pytest.mark.slow
def test_other_weights_have_their_own_graphs(bundle, tmp_path):
    made = export_in_process(bundle)
    other = load_bundle(save_tiny_captioner(tmp_path / "other", seed=1), CaptionerConfig)
    assert exported_folder(other) is None
    assert exported_folder(bundle) == made


@pytest.mark.slow
def test_other_library_versions_have_their_own_graphs(bundle, monkeypatch):
    export_in_process(bundle)
    monkeypatch.setattr(export_module, "version", lambda name: "0")
    assert exported_folder(bundle) is None


@pytest.mark.slow
def test_an_incomplete_folder_is_exported_again(bundle):
    folder = export_in_process(bundle)
    (folder / "step.bin").unlink()
    assert exported_folder(bundle) is None
    assert export_in_process(bundle) == folder == exported_folder(bundle)


def test_a_failed_export_leaves_no_files(bundle, monkeypatch):
    def fail(*_: object) -> None:
        raise RuntimeError("no")

    monkeypatch.setattr("model.runtime.graphs.captioner_graphs", fail)
    with pytest.raises(RuntimeError, match="no"):
        export_in_process(bundle)
    assert list((cache_folder() / "openvino").iterdir()) == []


def test_the_error_quotes_the_process_that_failed(bundle, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("UNROLLED_CACHE", str(tmp_path / "file"))
    with pytest.raises(ExportError, match="could not be exported for OpenVINO: NotADirectoryError"):
        export(bundle)
