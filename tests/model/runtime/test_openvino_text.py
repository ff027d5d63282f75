"""OpenVINO generates what PyTorch generates, with every kind of cell."""

import numpy as np
import pytest
import torch

from model.bundle.read import load_text_bundle
from model.runtime.export import export_in_process
from model.runtime.openvino import OpenVinoTextRunner
from model.runtime.pytorch import TorchTextRunner
from model.text.language_model import LanguageModel
from tests.tiny import WORDS, save_tiny_language_model

KINDS = [
    {"cell": "lstm", "layers": 2},
    {"cell": "gru"},
    {"cell": "gru-cho", "layers": 2},
    {"cell": "rnn", "embedding_size": 6, "tie_output": True, "layers": 3},
    {"cell": "mut1", "embedding_size": 6},
    {"cell": "mut2", "layers": 2},
    {"cell": "mut3", "level": "word", "text": " ".join(WORDS), "ends": True},
]


@pytest.fixture(params=KINDS, ids=str)
def both(request, tmp_path, monkeypatch) -> tuple[LanguageModel, LanguageModel]:
    monkeypatch.setenv("UNROLLED_CACHE", str(tmp_path / "cache"))
    bundle = load_text_bundle(save_tiny_language_model(tmp_path / "tiny", **request.param))
    export_in_process(bundle)
    loaded = [
        LanguageModel.from_bundle(bundle, "cpu", runtime) for runtime in ("torch", "openvino")
    ]
    return loaded[0], loaded[1]


@pytest.mark.slow
def test_texts_equal_those_of_pytorch(both):
    torch_model, openvino_model = both
    assert isinstance(torch_model.runner, TorchTextRunner)
    assert isinstance(openvino_model.runner, OpenVinoTextRunner)
    for n, temperature in ((1, 0.0), (5, 0.9)):
        options = {
            "n": n,
            "seed": 3,
            "max_tokens": 40,
            "temperature": temperature,
            "top_logprobs": 2,
        }
        expected = list(torch_model.generate("a dog", **options))
        results = list(openvino_model.generate("a dog", **options))
        assert [(p.index, p.text, p.token, p.finish_reason) for p in results] == [
            (p.index, p.text, p.token, p.finish_reason) for p in expected
        ]
        for one, other in zip(results, expected, strict=True):
            assert one.logprob == pytest.approx(other.logprob, abs=1e-5)


@pytest.mark.slow
def test_a_step_equals_that_of_pytorch(both):
    torch_model, openvino_model = both
    generator = torch.Generator().manual_seed(0)
    for rows in (1, 2, 7):
        # h and c differ, so that swapping them would show.
        state = tuple(
            torch.rand(part.shape, generator=generator) - 0.5
            for part in torch_model.network.initial_state(rows)
        )
        tokens = np.arange(rows) % len(torch_model.vocabulary)
        expected, after = torch_model.runner.step(tokens, state)
        results, later = openvino_model.runner.step(tokens, openvino_model.runner.place(state))
        np.testing.assert_allclose(results, expected, atol=1e-5)
        for one, other in zip(later, after, strict=True):
            np.testing.assert_allclose(one, other.numpy(), atol=1e-6)


@pytest.mark.slow
def test_reading_a_text_equals_pytorch(both):
    torch_model, openvino_model = both
    assert len(torch_model.runner.initial_state()) == len(openvino_model.runner.initial_state())
    state = torch_model.runner.initial_state()
    later = openvino_model.runner.initial_state()
    for length in (1, 9, 40):  # each goes on from the state of the last
        tokens = np.arange(length) % len(torch_model.vocabulary)
        expected, state = torch_model.runner.read(tokens, state)
        results, later = openvino_model.runner.read(tokens, later)
        np.testing.assert_allclose(results, expected, atol=2e-5)
        for one, other in zip(later, state, strict=True):
            np.testing.assert_allclose(one, other.numpy(), atol=1e-5)
    text = "a dog runs"
    np.testing.assert_allclose(
        openvino_model.activations(text).values, torch_model.activations(text).values, atol=1e-5
    )
    found, wanted = (m.search("a", max_length=6, num_captions=2) for m in both)
    assert [text for text, _ in found] == [text for text, _ in wanted]


@pytest.mark.slow
def test_outputs_are_not_overwritten_by_the_next_step(both):
    _, language_model = both
    state = tuple(np.repeat(part, 2, axis=1) for part in language_model.runner.initial_state())
    first, after = language_model.runner.step(np.array([4, 5]), state)
    copies = [array.copy() for array in (first, *after)]
    language_model.runner.step(np.array([5, 4]), after)
    for array, copy in zip((first, *after), copies, strict=True):
        assert np.array_equal(array, copy)
