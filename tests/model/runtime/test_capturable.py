"""What is captured looks at no value and takes nothing from the host, shown without a GPU."""

from typing import Any

import numpy as np
import pytest
import torch

from model.bundle.read import load_text_bundle
from model.captioning.captioner import Captioner
from model.captioning.constraints import decoding_constraints
from model.decoding.beam_search import search_steps
from model.decoding.results import TracedArrays, trace_back
from model.networks.text_network import load_text_network
from model.runtime.cuda import CudaGraphRunner
from model.runtime.cuda_text import CudaGraphTextRunner
from tests.model.captioning.test_captioner import pictures
from tests.model.device_alone import META, DeviceAlone, on_meta
from tests.model.eager_capture import EagerCapture
from tests.model.runtime.test_cuda import load_captured
from tests.model.runtime.test_openvino import DECODERS
from tests.model.runtime.test_openvino_text import KINDS
from tests.tiny import save_finalized_captioner, save_tiny_captioner, save_tiny_language_model

OPTIONS = {
    "beam_size": 3,
    "num_captions": 2,
    "max_length": 9,
    "no_repeat_ngram_size": 2,
    "no_echo_words": ("and", "a"),
    "no_repeat_nouns": True,
    "no_open_endings": True,
}


def test_looking_at_a_value_and_taking_from_the_host_fail():
    numbers = torch.zeros(3, device=META)
    with DeviceAlone():
        assert (numbers + 1).shape == (3,)
        for wrong in (
            lambda: bool(numbers.any()),
            lambda: numbers[numbers > 0],
            numbers.tolist,
            lambda: numbers + torch.zeros(3),
            lambda: numbers.copy_(torch.ones(3)),
            lambda: torch.tensor([1.0, 2.0], device=META),
        ):
            with pytest.raises((RuntimeError, NotImplementedError, AssertionError)):
                wrong()


def on_device_alone(captioner: Captioner) -> CudaGraphRunner:
    """Return the captioner's runner, with all that its captured functions use on `META`."""
    runner = captioner.runner
    for module in (runner.network, runner.encoder, runner._decoder_step):
        module.to(META)
    return runner


@pytest.mark.parametrize("decoder", DECODERS, ids=str)
def test_a_search_is_done_by_the_device_alone(decoder, tmp_path):
    captioner = load_captured(
        save_tiny_captioner(tmp_path / "tiny", **decoder), capture=EagerCapture()
    )
    grid = captioner.encode(captioner.prepare(pictures(2)))
    decoding = captioner.config.decoding.merge(**OPTIONS)
    constraints = decoding_constraints(captioner.vocabulary, decoding)
    runner = on_device_alone(captioner)
    (grid,) = on_meta(grid)

    def find(num_steps: int) -> None:
        state, step = runner._start_search(grid)
        found = search_steps(
            step,
            state,
            decoding,
            start_token=captioner.vocabulary.start_id,
            end_token=captioner.vocabulary.end_id,
            constraints=constraints,
            num_results=12,
            num_steps=num_steps,
        )
        traced = trace_back(found, captioner.vocabulary.end_id)
        assert traced.tokens.shape == (2, 12, num_steps)

    with torch.inference_mode():
        find(9)  # places the constants of the constraints, as the calls before a capture do
        with DeviceAlone():
            find(9)


@pytest.mark.parametrize("reorder", [True, False])
def test_reranking_is_done_by_the_device_alone(reorder, tmp_path):
    captioner = load_captured(save_finalized_captioner(tmp_path / "tiny"), capture=EagerCapture())
    rerank = captioner.reranker.rerank
    (grid,) = on_meta(captioner.encode(captioner.prepare(pictures(2))))
    shape = (2, 12)
    traced = TracedArrays(
        *on_meta(
            torch.zeros(*shape, 9, dtype=torch.int64),
            torch.zeros(*shape, 9),
            torch.zeros(shape, dtype=torch.int64),
            torch.zeros(shape, dtype=torch.bool),
            torch.zeros(shape),
        )
    )
    rerank(grid, traced, reorder=reorder)  # places its arrays, as the call before a capture does
    with DeviceAlone():
        ranked = rerank(grid, traced, reorder=reorder)
    assert [part.shape for part in ranked] == [part.shape for part in traced]
    assert [part.dtype for part in ranked] == [part.dtype for part in traced]


def test_pictures_are_encoded_by_the_device_alone(tmp_path):
    capture = Functions()
    captioner = load_captured(save_tiny_captioner(tmp_path / "tiny"), capture=capture)
    captioner.encode(captioner.prepare(pictures(2)))
    captioner.encode(captioner.preprocessing(pictures(2)))
    runner = on_device_alone(captioner)
    runner.normalise.to(META)
    with torch.inference_mode():
        for function, inputs in capture.calls:
            buffers = on_meta(*inputs)
            with DeviceAlone():
                function(*buffers)
    assert len(capture.calls) == 2


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_step_of_a_language_model_is_done_by_the_device_alone(kind, tmp_path):
    bundle = load_text_bundle(save_tiny_language_model(tmp_path / "tiny", **kind))
    capture = Functions()
    runner = CudaGraphTextRunner(load_text_network(bundle), "cpu", capture)
    runner.step(np.array([5]), runner.initial_state())
    runner.network.to(META)
    ((function, inputs),) = capture.calls
    buffers = on_meta(*inputs)
    with torch.inference_mode(), DeviceAlone():
        logprobs, *_ = function(*buffers)
    assert logprobs.shape == (1, len(bundle.vocabulary))


class Functions(EagerCapture):
    """Keeps what it captures."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, tuple[torch.Tensor, ...]]] = []

    def __call__(self, function: Any, inputs: tuple[torch.Tensor, ...]) -> Any:
        self.calls.append((function, inputs))
        return super().__call__(function, inputs)
