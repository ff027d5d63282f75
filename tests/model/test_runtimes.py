"""Which runtime is taken."""

import logging
from pathlib import Path

import pytest

from model import runtimes
from model.bundle import Bundle, load_bundle
from model.captioner import Captioner
from model.config import CaptionerConfig
from model.export import ExportError, make
from model.openvino_runner import OpenVinoRunner
from model.runtimes import load_runner
from model.torch_runner import TorchRunner
from tests.model.test_captioner import pictures
from tests.tiny import save_tiny_captioner


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bundle[CaptionerConfig]:
    monkeypatch.setenv("UNROLLED_CACHE", str(tmp_path / "cache"))
    return load_bundle(save_tiny_captioner(tmp_path / "tiny"), CaptionerConfig)


def test_a_cpu_takes_openvino(bundle):
    make(bundle)
    assert isinstance(load_runner(bundle, "cpu", "auto"), OpenVinoRunner)
    assert isinstance(load_runner(bundle, "cpu", "openvino"), OpenVinoRunner)
    assert isinstance(load_runner(bundle, "cpu", "torch"), TorchRunner)


def test_without_openvino_pytorch_does(bundle, monkeypatch):
    monkeypatch.setattr(runtimes, "find_spec", lambda name: None)
    assert isinstance(load_runner(bundle, "cpu", "auto"), TorchRunner)
    with pytest.raises(ValueError, match="pip install openvino"):
        load_runner(bundle, "cpu", "openvino")


def test_openvino_is_for_the_cpu(bundle):
    with pytest.raises(ValueError, match="not on cuda"):
        load_runner(bundle, "cuda", "openvino")


def test_what_openvino_cannot_run_pytorch_does(bundle, monkeypatch, caplog):
    def fail(*_: object) -> None:
        raise ExportError("no such operation")

    monkeypatch.setattr("model.export.export", fail)
    with caplog.at_level(logging.WARNING):
        assert isinstance(load_runner(bundle, "cpu", "auto"), TorchRunner)
    assert "no such operation" in caplog.text
    with pytest.raises(ExportError):
        load_runner(bundle, "cpu", "openvino")


@pytest.mark.parametrize("runtime", ["torch", "openvino"])
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_less_precision_changes_log_probabilities_little(bundle, runtime, precision):
    make(bundle)
    exact = Captioner.load(bundle.folder, "cpu")
    rough = Captioner.load(bundle.folder, "cpu", runtime=runtime, precision=precision)
    assert exact.runner.exact
    assert not rough.runner.exact
    for picture in pictures(3):
        own = exact.score(picture, "a dog runs")
        other = rough.score(picture, "a dog runs", attention=True)
        assert other.logprob == pytest.approx(own.logprob, abs=0.2)
        if runtime == "torch":  # a processor without it computes in float32
            assert other.logprob != own.logprob
    for captions in rough.caption(pictures(3), beam_size=3, num_captions=3, attention=True):
        assert len(captions) == 3
