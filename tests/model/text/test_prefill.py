"""Texts read in chunks, against the network on the whole text."""

import numpy as np
import pytest
import torch

from model.text.language_model import LanguageModel
from model.text.prefill import Incremental, iter_logprobs, iter_states, prefill, run_to_end
from tests.tiny import tiny_language_model


@pytest.fixture(scope="module")
def language_model() -> LanguageModel:
    return tiny_language_model(layers=2)


@pytest.mark.parametrize("length", [1, 64, 65, 512, 513, 700])
def test_chunks_together_equal_the_whole(language_model: LanguageModel, length: int) -> None:
    network, runner = language_model.network, language_model.runner
    tokens = [4 + i * i % 11 for i in range(length)]
    with torch.inference_mode():
        logits, state = network(torch.tensor([tokens]), network.initial_state(1))
        logprobs = logits[0].log_softmax(-1)
        states, _ = network.recurrent.states(
            network.read(torch.tensor([tokens])), network.initial_state(1)
        )
    chunks = list(prefill(runner, tokens))
    close = {"rtol": 1e-5, "atol": 1e-5}
    np.testing.assert_allclose(np.concatenate([c for c, _ in chunks]), logprobs, **close)
    for found, expected in zip(chunks[-1][1], state, strict=True):
        torch.testing.assert_close(found, expected)
    expected = logprobs[:-1].gather(1, torch.tensor(tokens)[1:, None])[:, 0]
    found = np.concatenate([np.zeros(0), *iter_logprobs(runner, tokens)])
    np.testing.assert_allclose(found, expected, **close)
    chunks = list(iter_states(runner, tokens))
    for found, expected in zip(zip(*chunks, strict=True), states, strict=True):
        np.testing.assert_allclose(np.concatenate(found), expected[0], **close)


def test_no_chunk_exceeds_its_limit(language_model: LanguageModel) -> None:
    runner = language_model.runner
    assert [len(logprobs) for logprobs, _ in prefill(runner, [4] * 1100)] == [512, 512, 76]
    assert [len(h) for h, _ in iter_states(runner, [4] * 150)] == [64, 64, 22]


def test_incremental_work_runs_to_its_end() -> None:
    def work() -> Incremental[str]:
        yield
        yield
        return "done"

    assert run_to_end(work()) == "done"
