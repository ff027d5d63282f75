"""The choice of a runtime."""

import logging
from importlib.util import find_spec
from pathlib import Path

import pytest

from model.bundle.format import BundleError
from model.bundle.read import Bundle, load_bundle, load_text_bundle
from model.captioning.captioner import Captioner
from model.config import CaptionerConfig, TextConfig
from model.runtime import export, select
from model.runtime.export import ExportError, export_in_process, exported_folder
from model.runtime.openvino import OpenVinoRunner, OpenVinoTextRunner
from model.runtime.pytorch import TorchRunner, TorchTextRunner
from model.runtime.select import load_runner, load_text_runner
from model.text.language_model import LanguageModel
from tests.model.captioning.test_captioner import pictures
from tests.tiny import save_tiny_captioner, save_tiny_language_model


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bundle[CaptionerConfig]:
    monkeypatch.setenv("UNROLLED_CACHE", str(tmp_path / "cache"))
    return load_bundle(save_tiny_captioner(tmp_path / "tiny"), CaptionerConfig)


@pytest.mark.slow
def test_openvino_is_the_default_on_a_cpu(bundle):
    export_in_process(bundle)
    assert isinstance(load_runner(bundle, "cpu", "auto"), OpenVinoRunner)
    assert isinstance(load_runner(bundle, "cpu", "openvino"), OpenVinoRunner)
    assert isinstance(load_runner(bundle, "cpu", "torch"), TorchRunner)


def hide(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    """Make a package appear not to be installed."""
    for module in (select, export):
        monkeypatch.setattr(
            module, "find_spec", lambda name: None if name == package else find_spec(name)
        )


def test_pytorch_is_the_default_without_openvino(bundle, monkeypatch):
    hide(monkeypatch, "openvino")
    assert isinstance(load_runner(bundle, "cpu", "auto"), TorchRunner)
    with pytest.raises(ValueError, match="pip install openvino"):
        load_runner(bundle, "cpu", "openvino")


def test_openvino_on_cuda_is_an_error(bundle):
    with pytest.raises(ValueError, match="not on cuda"):
        load_runner(bundle, "cuda", "openvino")


def test_cuda_graphs_on_a_cpu_are_an_error(bundle):
    with pytest.raises(ValueError, match="not cpu: use auto"):
        load_runner(bundle, "cpu", "cuda_graphs")


def test_without_graphs_pytorch_is_the_default(bundle, caplog):
    with caplog.at_level(logging.INFO):
        assert isinstance(load_runner(bundle, "cpu", "auto"), TorchRunner)
    assert "`unrolled export` makes it faster" in caplog.text


def test_without_graphs_and_pytorch_a_bundle_is_refused_in_words(
    bundle, language_model, monkeypatch
):
    hide(monkeypatch, "torch")
    for runtime in ("auto", "openvino"):
        with pytest.raises(ExportError, match="no graphs for OpenVINO, and PyTorch, which makes"):
            load_runner(bundle, "cpu", runtime)
        with pytest.raises(ExportError, match="no graphs for OpenVINO, and PyTorch, which makes"):
            load_text_runner(language_model, "cpu", runtime)
    with pytest.raises(ValueError, match="needs PyTorch, which is not installed"):
        load_runner(bundle, "cpu", "torch")


def test_pytorch_runs_what_openvino_cannot(bundle, monkeypatch, caplog):
    export_in_process(bundle)

    def fail(*_: object) -> None:
        raise ExportError("no such operation")

    monkeypatch.setattr(select, "read_tensors", fail)
    with caplog.at_level(logging.WARNING):
        assert isinstance(load_runner(bundle, "cpu", "auto"), TorchRunner)
    assert "no such operation" in caplog.text
    with pytest.raises(ExportError):
        load_runner(bundle, "cpu", "openvino")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("runtime", "precision"),
    [
        *(("torch", precision) for precision in ("bfloat16", "float16")),
        *(("openvino", precision) for precision in ("bfloat16", "float16", "int8")),
    ],
)
def test_less_precision_changes_log_probabilities_little(bundle, runtime, precision):
    export_in_process(bundle)
    exact = Captioner.load(bundle.folder, "cpu")
    rounded = Captioner.load(bundle.folder, "cpu", runtime=runtime, precision=precision)
    assert exact.runner.exact
    assert not rounded.runner.exact
    for picture in pictures(3):
        expected = exact.score(picture, "a dog runs")
        other = rounded.score(picture, "a dog runs", attention=True)
        assert other.logprob == pytest.approx(expected.logprob, abs=0.2)
        if runtime == "torch" or precision == "int8":  # processors without bfloat16 use float32
            assert other.logprob != expected.logprob
    for captions in rounded.caption(pictures(3), beam_size=3, num_captions=3, attention=True):
        assert len(captions) == 3


def test_int8_without_openvino_is_an_error(bundle, monkeypatch):
    for runtime, device in (("torch", "cpu"), ("auto", "cuda")):
        with pytest.raises(ValueError, match="int8 needs OpenVINO"):
            load_runner(bundle, device, runtime, precision="int8")
    hide(monkeypatch, "openvino")
    with pytest.raises(ValueError, match="int8 needs OpenVINO"):
        load_runner(bundle, "cpu", "auto", precision="int8")


@pytest.fixture
def language_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bundle[TextConfig]:
    monkeypatch.setenv("UNROLLED_CACHE", str(tmp_path / "cache"))
    return load_text_bundle(save_tiny_language_model(tmp_path / "writer"))


def test_a_language_model_uses_openvino_only_if_it_is_exported(language_model):
    assert isinstance(load_text_runner(language_model, "cpu", "auto"), TorchTextRunner)
    export_in_process(language_model)
    assert isinstance(load_text_runner(language_model, "cpu", "auto"), OpenVinoTextRunner)
    assert isinstance(load_text_runner(language_model, "cpu", "torch"), TorchTextRunner)
    with pytest.raises(ValueError, match="not on cuda"):
        load_text_runner(language_model, "cuda", "openvino")


@pytest.mark.slow
def test_asking_for_openvino_exports_a_language_model(language_model):
    assert isinstance(load_text_runner(language_model, "cpu", "openvino"), OpenVinoTextRunner)
    assert exported_folder(language_model) is not None


def test_pytorch_runs_a_language_model_whose_graph_is_damaged(language_model, caplog):
    (export_in_process(language_model) / "step.xml").write_text("no graph")
    with caplog.at_level(logging.WARNING):
        assert isinstance(load_text_runner(language_model, "cpu", "auto"), TorchTextRunner)
    assert "PyTorch will" in caplog.text
    with pytest.raises(
        BundleError, match=r"step\.xml does not fit its bundle .*: delete .* makes it again"
    ):
        load_text_runner(language_model, "cpu", "openvino")


@pytest.mark.parametrize("wrong", [{"runtime": "x"}, {"precision": "x"}, {"threads": 0}])
def test_unknown_names_are_refused(tmp_path, wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=f"{name} must be"):
        Captioner.load(save_tiny_captioner(tmp_path / "tiny"), "cpu", **wrong)
    if name != "precision":
        with pytest.raises(ValueError, match=f"{name} must be"):
            LanguageModel.load(save_tiny_language_model(tmp_path / "writer"), "cpu", **wrong)
