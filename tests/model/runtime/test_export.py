"""Graphs are made once, by a process of its own, and never half."""

from pathlib import Path

import pytest

from model.bundle.read import Bundle, load_bundle
from model.config import CaptionerConfig, TextConfig
from model.runtime import export as exporting
from model.runtime.export import ExportError, cache_folder, export, exported, make
from tests.tiny import save_tiny_captioner, save_tiny_language_model


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bundle[CaptionerConfig]:
    monkeypatch.setenv("UNROLLED_CACHE", str(tmp_path / "cache"))
    return load_bundle(save_tiny_captioner(tmp_path / "tiny"), CaptionerConfig)


def test_another_process_makes_them_once(bundle, monkeypatch):
    assert exported(bundle) is None
    (folder,) = export(bundle)
    assert folder.parent.parent == cache_folder()
    assert sorted(path.name for path in folder.iterdir()) == [
        "context.bin", "context.xml", "encode.bin", "encode.xml", "step.bin", "step.xml",
    ]  # fmt: skip
    monkeypatch.setattr(exporting, "subprocess", None)  # no process is needed any more
    assert export(bundle) == [folder]


def test_one_process_makes_those_that_are_not_there(bundle, tmp_path, monkeypatch):
    made = make(bundle)
    language_model = load_bundle(save_tiny_language_model(tmp_path / "writer"), TextConfig)
    commands, run = [], exporting.subprocess.run

    def running(command: list[str], **options: object) -> object:
        commands.append(command)
        return run(command, **options)

    monkeypatch.setattr(exporting.subprocess, "run", running)
    folder, of_writer = export(bundle, language_model)
    assert (folder, of_writer) == (made, exported(language_model))
    assert sorted(path.name for path in of_writer.iterdir()) == ["step.bin", "step.xml"]
    ((*_, asked),) = commands
    assert asked == str(language_model.folder)


def test_other_weights_have_graphs_of_their_own(bundle, tmp_path):
    made = make(bundle)
    other = load_bundle(save_tiny_captioner(tmp_path / "other", seed=1), CaptionerConfig)
    assert exported(other) is None
    assert exported(bundle) == made


def test_other_versions_have_graphs_of_their_own(bundle, monkeypatch):
    make(bundle)
    monkeypatch.setattr(exporting, "version", lambda name: "0")
    assert exported(bundle) is None


def test_half_a_folder_is_made_again(bundle):
    folder = make(bundle)
    (folder / "step.bin").unlink()
    assert exported(bundle) is None
    assert make(bundle) == folder == exported(bundle)


def test_what_fails_leaves_nothing(bundle, monkeypatch):
    def fail(*_: object) -> None:
        raise RuntimeError("no")

    monkeypatch.setattr("model.runtime.graphs.captioner_graphs", fail)
    with pytest.raises(RuntimeError, match="no"):
        make(bundle)
    assert list((cache_folder() / "openvino").iterdir()) == []


def test_a_process_that_fails_is_quoted(bundle, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("UNROLLED_CACHE", str(tmp_path / "file"))
    with pytest.raises(ExportError, match="could not be made: NotADirectoryError"):
        export(bundle)
