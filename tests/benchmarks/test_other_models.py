"""Other models, here tiny ones, are built and asked in turn; speed itself is never asserted."""

from pathlib import Path

import pytest

from benchmarks import other_models
from benchmarks.bench import ROOT, Bench
from benchmarks.machine import trained_parameters
from tests.tiny import save_tiny_captioner


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    weights = save_tiny_captioner(tmp_path / "captioner")
    return Bench(weights, ROOT / "examples", slow_rounds=1, threads=1, runtime="torch")


@pytest.mark.slow
def test_without_transformers_the_servers_are_still_measured(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(other_models, "find_spec", lambda _: None)
    (table,) = other_models.measure(bench)
    unrolled, baseline = table.rows
    size = sum(weights.numel() for weights in trained_parameters(bench.eager))
    assert unrolled["million parameters"] == baseline["million parameters"] == size / 1e6
    assert baseline["times Unrolled"].median == pytest.approx(
        baseline["ms per picture"].median / unrolled["ms per picture"].median
    )
    assert "`transformers` is not installed" in table.notes[-1]


@pytest.mark.slow
def test_every_other_model_captions_in_its_own_process(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
):
    pytest.importorskip("transformers")
    monkeypatch.setattr(other_models, "_data_types", lambda: ("bfloat16",))  # a process each
    (table,) = other_models.measure(bench, scale="tiny")
    assert [row["captioner"] for row in table.rows] == [
        "Unrolled, over HTTP",
        "baseline server, over HTTP",
        "ViT-GPT2, bfloat16",
        "BLIP-base, bfloat16",
        "Florence-2-base, bfloat16",
        "SmolVLM-256M, bfloat16",
    ]
    assert all(row["ms per picture"].median > 0 for row in table.rows)


@pytest.mark.parametrize(
    ("capability", "types"),
    [
        ("AVX2", ("float32",)),
        ("AVX512", ("float32", "bfloat16")),
        ("DEFAULT", ("float32", "bfloat16")),
    ],
)
def test_emulated_types_are_not_measured(
    capability: str, types: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("torch.backends.cpu.get_cpu_capability", lambda: capability)
    assert other_models._data_types() == types


def test_other_models_have_the_published_sizes():
    pytest.importorskip("transformers")
    import torch

    from benchmarks.other_model import MODELS, SCALES

    with torch.device("meta"):
        made = {kind: make(SCALES["published"]).network for kind, make in MODELS.items()}
    sizes = {
        kind: sum(weights.numel() for weights in network.parameters())
        for kind, network in made.items()
    }
    assert sizes == {
        "blip-base": 223_971_644,
        "vit-gpt2": 239_195_904,
        "florence-2-base": 231_414_016,
        "smolvlm-256m": 256_484_928,
    }


def test_the_error_of_a_failed_process_is_reported(bench: Bench):
    with (
        pytest.raises(RuntimeError, match="KeyError"),
        other_models._start_other_model("none", "float32", "1", "tiny"),
    ):
        pass
