"""The network of a language model: sequences against steps, one-hot and embedded, tied or not."""

import pytest
import torch
from torch import nn

from model.config import RecurrentConfig
from model.networks.text_network import TextNetwork
from tests.model.networks.test_cells import EXACT, every_cell, shaken

VOCABULARY = 7
READINGS = [
    {},
    {"embedding_size": 5},
    {"embedding_size": 5, "tie_output": True},
    {"embedding_size": 4, "tie_output": True},  # as large as the hidden state
]

every_reading = pytest.mark.parametrize("reading", READINGS, ids=str)


def tiny(cell: str = "lstm", *, layers: int = 2, **options: object) -> TextNetwork:
    config = RecurrentConfig(cell=cell, hidden_size=4, layers=layers, **options)
    return shaken(TextNetwork(config, VOCABULARY))


def tokens(batch: int, time: int) -> torch.Tensor:
    return torch.randint(VOCABULARY, (batch, time), generator=torch.Generator().manual_seed(0))


def by_steps(network, sequence, state):
    logits = []
    for column in sequence.unbind(1):
        step, state = network.step(column, state)
        logits.append(step)
    return torch.stack(logits, 1), state


@every_cell
@every_reading
def test_a_sequence_equals_its_steps(name, reading):
    network, sequence = tiny(name, **reading), tokens(3, 9)
    whole = network(sequence, network.initial_state(3))
    assert whole[0].shape == (3, 9, VOCABULARY)
    torch.testing.assert_close(
        whole, by_steps(network, sequence, network.initial_state(3)), **EXACT
    )


@every_cell
@every_reading
def test_a_chunk_continues_from_a_state(name, reading):
    network, sequence = tiny(name, **reading), tokens(2, 9)
    whole, last = network(sequence, network.initial_state(2))
    state, logits = network.initial_state(2), []
    for chunk in sequence.split([4, 1, 4], dim=1):
        part, state = network(chunk, state)
        logits.append(part)
    torch.testing.assert_close((torch.cat(logits, 1), state), (whole, last), **EXACT)


def test_rows_are_independent():
    network, sequence = tiny(), tokens(3, 6)
    together, _ = network(sequence, network.initial_state(3))
    for row in range(3):
        alone, _ = network(sequence[row : row + 1], network.initial_state(1))
        torch.testing.assert_close(alone[0], together[row], **EXACT)


def test_later_tokens_do_not_change_earlier_logits():
    network, sequence = tiny(), tokens(1, 6)
    other = sequence.clone()
    other[:, 4] = (other[:, 4] + 1) % VOCABULARY
    one, two = (network(each, network.initial_state(1))[0] for each in (sequence, other))
    torch.testing.assert_close(one[:, :4], two[:, :4], **EXACT)
    assert (one[:, 4:] - two[:, 4:]).abs().amin() > 1e-9


def test_without_an_embedding_tokens_are_read_as_one_hot():
    network = tiny()
    assert network.embedding is None
    assert torch.equal(network.read(torch.arange(VOCABULARY)), torch.eye(VOCABULARY).double())
    embedded = tiny(embedding_size=VOCABULARY)
    with torch.no_grad():
        embedded.embedding.weight.copy_(torch.eye(VOCABULARY))
        embedded.recurrent.load_state_dict(network.recurrent.state_dict())
        embedded.to_word.load_state_dict(network.to_word.state_dict())
    sequence = tokens(2, 5)
    torch.testing.assert_close(
        *(each(sequence, each.initial_state(2))[0] for each in (network, embedded)), **EXACT
    )


def test_a_tied_output_uses_the_word_vectors():
    network = tiny(embedding_size=5, tie_output=True)
    hidden = torch.randn(2, 3, 4).double()
    words = hidden @ network.to_word.weight.T + network.to_word.bias
    expected = words @ network.embedding.weight.T + network.output_bias
    torch.testing.assert_close(network.score(hidden), expected, **EXACT)
    shapes = {name: tuple(p.shape) for name, p in network.named_parameters()}
    assert shapes["to_word.weight"] == (5, 4)
    untied = {name for name, _ in tiny(embedding_size=5).named_parameters()}
    assert set(shapes) - untied == {"output_bias"}


@every_reading
def test_every_weight_learns(reading):
    network, sequence = tiny(**reading), tokens(2, 6)
    logits, _ = network(sequence, network.initial_state(2))
    nn.functional.cross_entropy(logits.flatten(0, 1), sequence.flatten()).backward()
    assert all(p.grad.abs().sum() > 0 for p in network.parameters())


def test_dropout_acts_only_in_training():
    network, sequence = tiny(dropout=0.5, embedding_size=5), tokens(2, 6)
    one, two = (network(sequence, network.initial_state(2))[0] for _ in range(2))
    assert not torch.equal(one, two)
    network.eval()
    one, two = (network(sequence, network.initial_state(2))[0] for _ in range(2))
    assert torch.equal(one, two)
    torch.testing.assert_close(
        one, by_steps(network, sequence, network.initial_state(2))[0], **EXACT
    )


def test_a_new_network_finds_all_tokens_about_equally_likely():
    torch.manual_seed(0)
    config = RecurrentConfig(hidden_size=64, embedding_size=32, tie_output=True)
    network = TextNetwork(config, 100)
    logits, _ = network(torch.arange(100)[None], network.initial_state(1))
    assert logits.abs().amax() < 2
