"""The device and the arithmetic that are chosen, and what is said where they cannot be had."""

from pathlib import Path

import pytest
import torch

from model.captioning.captioner import Captioner
from model.runtime.device import choose_device, choose_precision
from tests.tiny import save_tiny_captioner


def test_a_device_is_chosen_or_refused() -> None:
    assert choose_device("cpu") == "cpu"
    assert choose_device("auto") in {"cuda", "mps", "cpu"}
    with pytest.raises(ValueError, match="not 'toaster'"):
        choose_device("toaster")
    with pytest.raises(ValueError, match="has no device"):
        choose_device("cuda" if not torch.cuda.is_available() else "mps")


@pytest.mark.parametrize(
    ("device", "precision"),
    [("cpu", "float32"), ("mps", "float32"), ("cuda", "float16"), ("cuda:1", "float16")],
)
def test_precision_follows_the_device_unless_it_is_given(device: str, precision: str) -> None:
    assert choose_precision("auto", device) == precision
    assert choose_precision("bfloat16", device) == "bfloat16"
    assert choose_precision("float32", device) == "float32"


def test_half_precision_is_not_chosen_on_an_amd_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "hip", "6.4")
    assert choose_precision("auto", "cuda") == "float32"
    assert choose_precision("float16", "cuda") == "float16"


def test_a_captioner_is_loaded_in_the_usual_precision_of_its_device(tmp_path: Path) -> None:
    folder = save_tiny_captioner(tmp_path / "tiny")
    assert Captioner.load(folder, "cpu", runtime="torch", precision="auto").runner.exact
    rough = Captioner.load(folder, "cpu", runtime="torch", precision="bfloat16")
    assert not rough.runner.exact
