"""Load a tiny captioner into both runtimes, exported in this process into its own cache."""

from pathlib import Path

import pytest

from model.bundle.read import load_bundle
from model.captioning.captioner import Captioner
from model.config import CaptionerConfig
from model.runtime.export import export_in_process


def load_with_both(
    bundle: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Captioner, ...]:
    """Load a bundle with PyTorch and with OpenVINO."""
    monkeypatch.setenv("UNROLLED_CACHE", str(cache))
    export_in_process(load_bundle(bundle, CaptionerConfig))
    return (
        Captioner.load(bundle, "cpu", runtime="torch"),
        Captioner.load(bundle, "cpu", runtime="openvino", threads=1),
    )
