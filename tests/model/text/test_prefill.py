"""Texts read in chunks, against the network on the whole text."""

import pytest
import torch

from model.networks.text_network import TextNetwork
from model.text.prefill import Incremental, iter_activations, iter_logprobs, prefill, run_to_end
from tests.tiny import tiny_language_model


@pytest.fixture(scope="module")
def network() -> TextNetwork:
    return tiny_language_model(layers=2).network


@pytest.mark.parametrize("length", [1, 64, 65, 512, 513, 700])
def test_chunks_together_equal_the_whole(network: TextNetwork, length: int) -> None:
    tokens = [4 + i * i % 11 for i in range(length)]
    with torch.inference_mode():
        logits, state = network(torch.tensor([tokens]), network.initial_state(1))
        chunks = list(prefill(network, tokens))
        torch.testing.assert_close(torch.cat([c for c, _ in chunks]), logits[0])
        torch.testing.assert_close(chunks[-1][1], state)
        expected = logits[0].log_softmax(-1)[:-1].gather(1, torch.tensor(tokens)[1:, None])[:, 0]
        torch.testing.assert_close(
            torch.cat([torch.zeros(0), *iter_logprobs(network, tokens)]), expected
        )
        states, _ = network.recurrent.states(
            network.read(torch.tensor([tokens])), network.initial_state(1)
        )
        torch.testing.assert_close(
            torch.cat(list(iter_activations(network, tokens))), torch.tanh(states[1])[0].flatten(1)
        )


def test_no_chunk_exceeds_its_limit(network: TextNetwork) -> None:
    assert [len(logits) for logits, _ in prefill(network, [4] * 1100)] == [512, 512, 76]
    assert [len(values) for values in iter_activations(network, [4] * 150)] == [64, 64, 22]


def test_incremental_work_runs_to_its_end() -> None:
    def work() -> Incremental[str]:
        yield
        yield
        return "done"

    assert run_to_end(work()) == "done"
