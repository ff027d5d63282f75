"""The GPU suite runs, here on a CPU."""

from pathlib import Path

import pytest
import torch

from benchmarks import gpu
from benchmarks.bench import ROOT, Bench
from tests.tiny import save_tiny_captioner, save_tiny_language_model


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    weights = save_tiny_captioner(tmp_path / "captioner")
    save_tiny_language_model(tmp_path / "text" / "tiny-writer")
    few = {"rounds": 1, "slow_rounds": 1, "launches": 1, "requests": 4, "warmups": 0}
    return Bench(weights, ROOT / "examples", threads=1, runtime="torch", **few)


@pytest.mark.slow
def test_prepared_pictures_files_requests_and_texts_are_measured(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(gpu, "_BATCH_SIZES", (1, 3))
    monkeypatch.setattr(gpu, "_FILES", (2, 300))
    monkeypatch.setattr(gpu, "_CLIENTS", (1, 64))
    prepared, files, requests, texts = gpu.measure(bench, "cpu")
    assert [row["precision"] for row in prepared.rows] == ["float32", "bfloat16", "float16"]
    for row in prepared.rows:
        assert {"baseline", "batch 1", "batch 3", "roofline"} <= set(row)
        assert row["batch 3"].median > 0
    assert files.rows[0]["pictures per second"].median > 0
    assert [row["clients"] for row in requests.rows] == ["1", "64"]
    for row in requests.rows:
        assert row["requests per second"].median > 0
        assert 0 < row["median ms"] <= row["95th percentile ms"]
    assert [row["texts at once"] for row in texts.rows] == [1, 16]
    assert all(row["eager PyTorch"].median > 0 for row in texts.rows)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_without_a_gpu_nothing_is_measured(bench: Bench):
    (table,) = gpu.measure(bench)
    assert not table.rows
    assert "no GPU" in table.notes[0]
