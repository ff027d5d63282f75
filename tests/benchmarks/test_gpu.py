"""The GPU suite runs, here on a CPU."""

from pathlib import Path

import pytest
import torch

from benchmarks import gpu
from benchmarks.bench import ROOT, Bench
from tests.tiny import save_tiny_captioner


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    weights = save_tiny_captioner(tmp_path / "captioner")
    return Bench(weights, ROOT / "examples", rounds=1, warmups=0, threads=1, runtime="torch")


def test_every_precision_and_batch_size_is_measured(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(gpu, "_BATCH_SIZES", (1, 3))
    (table,) = gpu.measure(bench, "cpu")
    assert [row["precision"] for row in table.rows] == ["float32", "bfloat16", "float16"]
    for row in table.rows:
        assert {"baseline", "batch 1", "batch 3", "roofline"} <= set(row)
        assert row["batch 3"].median > 0


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_without_a_gpu_nothing_is_measured(bench: Bench):
    (table,) = gpu.measure(bench)
    assert not table.rows
    assert "no GPU" in table.notes[0]
