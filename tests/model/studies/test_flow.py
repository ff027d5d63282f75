import numpy as np
import pytest
import torch
from torch import Tensor

from model.config import RecurrentConfig
from model.networks.cells import CELLS, CellState
from model.networks.text_network import TextNetwork
from model.studies.flow import gradient_flow, spectral_radius, stretches, with_spectral_radius

VOCABULARY = 7
STEPS = 4


def make(cell: str, layers: int = 2, hidden_size: int = 3, dropout: float = 0.5) -> TextNetwork:
    torch.manual_seed(3)
    config = RecurrentConfig(cell=cell, hidden_size=hidden_size, layers=layers, dropout=dropout)
    return TextNetwork(config, VOCABULARY)


def tokens(rows: int = 1, time: int = 9) -> Tensor:
    return torch.randint(VOCABULARY, (rows, time), generator=torch.Generator().manual_seed(1))


def deaf_rnn(recurrent: Tensor) -> TextNetwork:
    """An RNN that hears nothing: its h stays 0, where tanh is the identity."""
    network = make("rnn", layers=1, hidden_size=len(recurrent))
    with torch.no_grad():
        network.recurrent.projections[0].weight.zero_()
        network.recurrent.cells[0].recurrent.weight.copy_(recurrent)
    return network


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("cell", CELLS)
def test_products_of_jacobians(cell: str, layers: int) -> None:
    network, row = make(cell, layers), tokens()
    flow = gradient_flow(network, row, STEPS)
    network = network.double().eval()
    shape = network.initial_state(1)[0].shape
    parts = network.recurrent.num_states

    def pack(state: CellState) -> Tensor:
        return torch.stack(state).flatten()

    def unpack(flat: Tensor) -> CellState:
        return tuple(part.view(shape) for part in flat.view(parts, -1))

    def step(flat: Tensor, token: Tensor) -> Tensor:
        return pack(network.recurrent.step(network.read(token[None]), unpack(flat))[1])

    def loss(flat: Tensor) -> Tensor:
        logits = network.score(unpack(flat)[0][-1])
        return torch.nn.functional.cross_entropy(logits, row[0, -1:])

    states = [pack(network.initial_state(1)).double()]
    for token in row[0, :-1]:
        states.append(step(states[-1], token).detach())
    gradient = torch.autograd.functional.jacobian(loss, states[-1])
    own = gradient.norm()
    for k in range(STEPS + 1):
        by_part = gradient.view(parts, -1).norm(dim=1) / own
        assert flow["state"][k, 0] == pytest.approx(float(by_part.norm()), rel=1e-9)
        if parts > 1:
            assert flow["h"][k, 0] == pytest.approx(float(by_part[0]), rel=1e-9)
            assert flow["c"][k, 0] == pytest.approx(float(by_part[1]), rel=1e-9, abs=1e-15)
        token = row[0, -2 - k]
        before = states[-2 - k]
        jacobian = torch.autograd.functional.jacobian(lambda flat, t=token: step(flat, t), before)
        gradient = gradient @ jacobian


@pytest.mark.parametrize("cell", CELLS)
def test_finite_differences(cell: str) -> None:
    network, row = make(cell), tokens()
    ratio = gradient_flow(network, row, STEPS)["state"]
    network = network.double().eval()

    @torch.no_grad()
    def gradient(k: int) -> Tensor:
        """By moving each number of the state k steps before the loss a little up and down."""
        split = row.shape[1] - 1 - k
        state = network.initial_state(1)
        for token in row[0, :split]:
            state = network.recurrent.step(network.read(token[None]), state)[1]
        found = []
        for part in state:
            for place in np.ndindex(part.shape):
                losses = []
                for move in (1e-6, -1e-6):
                    moved = [p.clone() for p in state]
                    moved[[p is part for p in state].index(True)][place] += move
                    after = tuple(moved)
                    for token in row[0, split:-1]:
                        after = network.recurrent.step(network.read(token[None]), after)[1]
                    logprobs = network.score(after[0][-1]).log_softmax(-1)
                    losses.append(-logprobs[0, row[0, -1]])
                found.append((losses[0] - losses[1]) / 2e-6)
        return torch.stack(found)

    for k in (1, STEPS):
        expected = float(gradient(k).norm() / gradient(0).norm())
        assert ratio[k, 0] == pytest.approx(expected, rel=1e-5)


def test_identity_carries_everything() -> None:
    ratio = gradient_flow(deaf_rnn(torch.eye(5)), tokens(3, 60), 50)["state"]
    np.testing.assert_allclose(ratio, 1, rtol=1e-12)


@pytest.mark.parametrize("radius", [0.5, 0.9, 1.5])
def test_a_multiple_of_a_rotation_goes_as_its_power(radius: float) -> None:
    rotation = torch.linalg.qr(torch.randn(5, 5, generator=torch.Generator().manual_seed(2)))[0]
    scaled = with_spectral_radius(deaf_rnn(3 * rotation), radius)
    assert spectral_radius(scaled.recurrent.cells[0].recurrent.weight) == pytest.approx(radius)
    ratio = gradient_flow(scaled, tokens(2, 60), 50)["state"]
    # The weights are in single precision, the measurement is not.
    expected = np.repeat(radius ** np.arange(51)[:, None], 2, axis=1)
    np.testing.assert_allclose(ratio, expected, rtol=1e-4)


@pytest.mark.parametrize("cell", CELLS)
def test_rows_are_measured_apart(cell: str) -> None:
    network, rows = make(cell), tokens(3)
    together = gradient_flow(network, rows, STEPS)
    for index, row in enumerate(rows):
        alone = gradient_flow(network, row[None], STEPS)
        for part, ratio in alone.items():
            np.testing.assert_allclose(together[part][:, index], ratio[:, 0], rtol=1e-9)


def test_parts_make_up_the_whole() -> None:
    flow = gradient_flow(make("lstm"), tokens(4), STEPS)
    np.testing.assert_allclose(flow["state"] ** 2, flow["h"] ** 2 + flow["c"] ** 2, rtol=1e-12)
    assert not flow["c"][0].any()  # the loss reads h alone


def test_a_loss_that_reads_nothing_has_ratio_zero() -> None:
    network = make("gru")
    torch.nn.init.zeros_(network.to_word.weight)
    assert not gradient_flow(network, tokens(), STEPS)["state"].any()


def test_the_network_stays_as_it_is() -> None:
    network = make("lstm").train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    gradient_flow(network, tokens(), STEPS)
    assert network.training
    assert all(p.grad is None for p in network.parameters())
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


def test_bad_arguments_are_reported() -> None:
    with pytest.raises(ValueError, match="20 steps need 22 tokens, there are 9"):
        gradient_flow(make("rnn"), tokens(), 20)
    with pytest.raises(ValueError, match="steps must be at least 1, got 0"):
        gradient_flow(make("rnn"), tokens(), 0)
    with pytest.raises(ValueError, match="gru has several recurrent matrices"):
        with_spectral_radius(make("gru"), 1)
    with pytest.raises(ValueError, match="must be positive and finite, got 0"):
        with_spectral_radius(make("rnn"), 0)
    with pytest.raises(ValueError, match="the text has 9 tokens, and 10 are needed"):
        stretches(tokens()[0], 2, 10, seed=0)


def test_stretches_are_of_the_text() -> None:
    text = torch.arange(50)
    found = stretches(text, 1000, 10, seed=4)
    assert found.shape == (1000, 10)
    assert torch.equal(found - found[:, :1], torch.arange(10).expand(1000, -1))
    assert {int(start) for start in found[:, 0]} == set(range(41))
    assert torch.equal(found, stretches(text, 1000, 10, seed=4))
