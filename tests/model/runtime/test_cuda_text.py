"""A language model whose steps are captured generates what it generates without."""

import numpy as np
import pytest

from model.bundle.read import load_text_bundle
from model.networks.text_network import load_text_network
from model.runtime.cuda_text import CudaGraphTextRunner
from model.text.language_model import LanguageModel
from tests.model.eager_capture import DEVICES, EagerCapture, capture_on
from tests.model.runtime.test_openvino_text import KINDS
from tests.tiny import save_tiny_language_model


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_texts_equal_those_of_pytorch(kind, device, tmp_path):
    bundle = load_text_bundle(save_tiny_language_model(tmp_path / "tiny", **kind))
    expected = LanguageModel.from_bundle(bundle, device, "torch")
    capture = capture_on(device)
    runner = CudaGraphTextRunner(load_text_network(bundle), device, capture)
    captured = LanguageModel(runner, expected.config, expected.vocabulary)
    for n, temperature in ((1, 0.0), (5, 0.9), (3, 0.5)):
        options = {"n": n, "seed": 3, "max_tokens": 30, "temperature": temperature}
        texts, known = (list(one.generate("a dog", **options)) for one in (captured, expected))
        assert [(p.index, p.text, p.token, p.finish_reason) for p in texts] == [
            (p.index, p.text, p.token, p.finish_reason) for p in known
        ]
        for one, other in zip(texts, known, strict=True):
            assert one.logprob == pytest.approx(other.logprob, abs=1e-5)
    if isinstance(capture, EagerCapture):
        assert set(capture.batches) <= {1, 2, 4, 8}  # each once, however many steps there are
        assert len(capture.batches) == len(set(capture.batches))


def test_more_texts_than_any_graph_holds_are_written_too(tmp_path):
    bundle = load_text_bundle(save_tiny_language_model(tmp_path / "tiny"))
    capture = EagerCapture()
    runner = CudaGraphTextRunner(load_text_network(bundle), "cpu", capture)
    state = tuple(part.expand(-1, 200, -1).clone() for part in runner.initial_state())
    tokens = np.arange(200) % len(bundle.vocabulary)
    logprobs, after = runner.step(tokens, state)
    assert logprobs.shape == (200, len(bundle.vocabulary))
    assert [part.shape for part in after] == [part.shape for part in state]
    assert not capture.batches
