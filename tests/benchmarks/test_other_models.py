"""That other captioners are built and asked in turn, here tiny ones; never how fast they are."""

from pathlib import Path

import pytest

from benchmarks import other_models
from benchmarks.bench import ROOT, Bench
from benchmarks.machine import parameters
from tests.tiny import save_tiny_captioner


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    weights = save_tiny_captioner(tmp_path / "captioner")
    return Bench(weights, ROOT / "examples", slow_rounds=1, threads=1, runtime="torch")


def test_without_transformers_the_others_are_measured(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(other_models, "find_spec", lambda _: None)
    (table,) = other_models.measure(bench)
    ours, baseline_server = table.rows
    size = sum(weights.numel() for weights in parameters(bench.eager))
    assert ours["million parameters"] == baseline_server["million parameters"] == size / 1e6
    assert baseline_server["times Unrolled"].median == pytest.approx(
        baseline_server["ms a picture"].median / ours["ms a picture"].median
    )
    assert "`transformers` is not installed" in table.notes[-1]


@pytest.mark.slow
def test_every_peer_captions_in_a_process_of_its_own(bench: Bench):
    pytest.importorskip("transformers")
    (table,) = other_models.measure(bench, scale="tiny")
    assert [row["captioner"] for row in table.rows] == [
        "Unrolled, over HTTP",
        "plain FastAPI, over HTTP",
        "ViT-GPT2, float32",
        "ViT-GPT2, bfloat16",
        "BLIP-base, float32",
        "BLIP-base, bfloat16",
    ]
    assert all(row["ms a picture"].median > 0 for row in table.rows)


def test_peers_have_the_published_sizes():
    pytest.importorskip("transformers")
    import torch

    from benchmarks.other_model import KINDS, SCALES

    with torch.device("meta"):
        made = {kind: make(SCALES["published"]).network for kind, make in KINDS.items()}
    sizes = {
        kind: sum(weights.numel() for weights in network.parameters())
        for kind, network in made.items()
    }
    assert sizes == {"blip-base": 223_971_644, "vit-gpt2": 239_195_904}


def test_a_peer_that_fails_says_why(bench: Bench):
    with (
        pytest.raises(RuntimeError, match="KeyError"),
        other_models._running("none", "float32", "1", "tiny"),
    ):
        pass
