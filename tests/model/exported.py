"""Tiny captioners turned into OpenVINO's form, in this process and in a cache of their own."""

from pathlib import Path

import pytest

from model.bundle.read import load_bundle
from model.captioning.captioner import Captioner
from model.config import CaptionerConfig
from model.runtime.export import make


def by_both(bundle: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Captioner, ...]:
    """Load a bundle with PyTorch and with OpenVINO."""
    monkeypatch.setenv("UNROLLED_CACHE", str(cache))
    make(load_bundle(bundle, CaptionerConfig))
    return (
        Captioner.load(bundle, "cpu", runtime="torch"),
        Captioner.load(bundle, "cpu", runtime="openvino", threads=1),
    )
