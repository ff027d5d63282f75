"""Stacks of cells: sequences against single steps, states, dropout, precision."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from model.networks.cells import CELLS, LSTMCell
from model.networks.recurrent import Recurrent
from tests.model.networks.test_cells import EXACT, every_cell, random, shaken


def random_state(network: Recurrent, batch: int) -> tuple[torch.Tensor, ...]:
    return tuple(torch.randn_like(part) for part in network.initial_state(batch))


def by_steps(network, inputs, state):
    outputs = []
    for x in inputs.unbind(1):
        output, state = network.step(x, state)
        outputs.append(output)
    return torch.stack(outputs, 1), state


def test_a_stack_needs_a_layer():
    with pytest.raises(ValueError, match="layers must be at least 1, got 0"):
        Recurrent("rnn", 3, 3, layers=0)


@every_cell
@pytest.mark.parametrize("layers", [1, 3])
def test_a_sequence_equals_its_steps(name, layers):
    network = shaken(Recurrent(name, 3, 4, layers))
    inputs = random(2, 6, 3).requires_grad_()
    state = tuple(part.requires_grad_() for part in random_state(network, 2))
    leaves = [inputs, *state, *network.parameters()]
    results = []
    for outputs, after in (network(inputs, state), by_steps(network, inputs, state)):
        assert outputs.shape == (2, 6, 4)
        assert [part.shape for part in after] == [(layers, 2, 4)] * network.num_states
        torch.testing.assert_close(outputs[:, -1], after[0][-1], **EXACT)
        score = (outputs**2).sum() + sum(part.sin().sum() for part in after)
        results.append((outputs, after, torch.autograd.grad(score, leaves)))
    torch.testing.assert_close(*results, **EXACT)


@every_cell
def test_the_fused_kernels_agree_in_single_precision(name):
    torch.manual_seed(0)  # other kernels than in double precision
    network = Recurrent(name, 8, 16, 2)
    inputs = torch.randn(3, 10, 8)
    state = random_state(network, 3)
    torch.testing.assert_close(
        network(inputs, state), by_steps(network, inputs, state), atol=1e-5, rtol=0
    )


@every_cell
def test_a_sequence_continues_from_a_state(name):
    network = shaken(Recurrent(name, 3, 4, 2))
    inputs, state = random(2, 7, 3), network.initial_state(2)
    whole = network(inputs, state)
    first, state = network(inputs[:, :3], state)
    second, state = network(inputs[:, 3:], state)
    torch.testing.assert_close((torch.cat([first, second], 1), state), whole, **EXACT)


@every_cell
def test_states_returns_those_of_every_layer(name):
    network = shaken(Recurrent(name, 3, 4, 3))
    inputs, state = random(2, 5, 3), random_state(network, 2)
    states, last = network.states(inputs, state)
    assert [part.shape for part in states] == [(2, 5, 3, 4)] * network.num_states
    torch.testing.assert_close((states[0][:, :, -1], last), network(inputs, state), **EXACT)
    for t, x in enumerate(inputs.unbind(1)):
        _, state = network.step(x, state)
        step_states = tuple(
            part[:, t].transpose(0, 1) for part in states
        )  # (layers, batch, hidden)
        torch.testing.assert_close(step_states, state, **EXACT)


@every_cell
def test_every_parameter_learns(name):
    network = Recurrent(name, 3, 4, 2)
    outputs, _ = network(torch.randn(2, 5, 3), network.initial_state(2))
    outputs.square().sum().backward()
    for key, parameter in network.named_parameters():
        assert parameter.grad.abs().sum() > 0, key


@every_cell
def test_gradients_also_flow_in_evaluation(name):
    network = Recurrent(name, 3, 4).eval()
    inputs = torch.randn(2, 5, 3, requires_grad=True)
    network(inputs, network.initial_state(2))[0].sum().backward()
    assert inputs.grad.abs().sum() > 0


@every_cell
def test_dropout_acts_between_layers_and_only_in_training(name):
    inputs = random(2, 5, 3)

    def run(layers: int, *, training: bool) -> list[torch.Tensor]:
        network = shaken(Recurrent(name, 3, 16, layers, dropout=0.5)).train(training)
        state = network.initial_state(2)
        sequences = [network(inputs, state)[0] for _ in range(2)]
        return sequences + [network.step(inputs[:, 0], state)[0] for _ in range(2)]

    for layers, training in ((1, True), (3, False)):
        a, b, c, d = run(layers, training=training)
        assert a.equal(b)
        assert c.equal(d)
    a, b, c, d = run(3, training=True)
    assert not a.equal(b)
    assert not c.equal(d)
    # Dropped outputs of the last layer would be 0.
    assert all(outputs.ne(0).all() for outputs in (a, b, c, d))


@every_cell
def test_dropout_does_not_change_the_first_layers_states(name):
    network = Recurrent(name, 3, 16, 2, dropout=0.5)
    inputs = torch.randn(2, 5, 3)
    first, second = (network.states(inputs, network.initial_state(2))[0][0] for _ in range(2))
    assert first[:, :, 0].equal(second[:, :, 0])
    assert not first[:, :, 1].equal(second[:, :, 1])


@every_cell
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_is_close_to_float32(name, dtype):
    torch.manual_seed(0)
    network = Recurrent(name, 8, 16, 2, dropout=0.1).eval()
    inputs, state = torch.randn(3, 10, 8), network.initial_state(3)
    expected, _ = network(inputs, state)
    with torch.autocast("cpu", dtype):
        results = [network(inputs, state), by_steps(network, inputs, state)]
    for outputs, after in results:
        assert outputs.dtype == torch.float32
        assert {part.dtype for part in after} == {torch.float32}
        torch.testing.assert_close(outputs, expected, atol=0.03, rtol=0)
    network.train()
    with torch.autocast("cpu", dtype):
        outputs, _ = network(inputs, state)
    outputs.square().sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())


@every_cell
def test_half_precision_weights_are_close_to_float32(name):
    torch.manual_seed(0)
    network = Recurrent(name, 8, 16, 2).bfloat16()
    inputs, state = torch.randn(3, 10, 8).bfloat16(), network.initial_state(3)
    results = [network(inputs, state), by_steps(network, inputs, state)]
    expected, _ = network.float()(inputs.float(), state)
    for outputs, after in results:
        assert outputs.dtype == torch.bfloat16
        assert {part.dtype for part in after} == {torch.float32}
        torch.testing.assert_close(outputs.float(), expected, atol=0.03, rtol=0)


def test_the_state_keeps_small_additions_in_half_precision():
    """A bfloat16 state would stop growing once a step adds less than its last bit."""
    cell = LSTMCell(1).bfloat16()
    nn.init.zeros_(cell.recurrent.weight)
    always, little = 50.0, 0.001  # f = 1, and i * g = tanh(0.001)
    projected = torch.tensor([always, always, little, always]).bfloat16()
    state = (torch.zeros(1), torch.ones(1))
    for _ in range(100):
        state = cell(projected, state)
    assert state[1].item() == pytest.approx(1.1, abs=0.001)


@every_cell
def test_the_initial_state_is_zero(name):
    network = Recurrent(name, 3, 4, 2)
    state = network.initial_state(5)
    assert len(state) == network.num_states == CELLS[name].num_states
    for part in state:
        assert part.shape == (2, 5, 4)
        assert part.dtype == torch.float32
        assert part.eq(0).all()
    assert network.initial_state(5, "meta")[0].is_meta


@every_cell
def test_rows_are_independent_and_steps_depend_only_on_the_past(name):
    network = shaken(Recurrent(name, 3, 4, 2))
    inputs, state = random(2, 6, 3), network.initial_state(2)
    before, _ = network(inputs, state)
    inputs[0, 4] += 1
    after, _ = network(inputs, state)
    assert after[1].equal(before[1])
    assert after[0, :4].equal(before[0, :4])
    for earlier, later in pairwise((before[0, 4:] - after[0, 4:]).abs().sum(-1)):
        assert min(earlier, later) > 0
