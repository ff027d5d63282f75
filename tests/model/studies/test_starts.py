"""What the docs say of initial weights, singular values and the direct path."""

import numpy as np
import pytest
import torch
from torch import Tensor

from model.config import RecurrentConfig
from model.networks.text_network import TextNetwork
from model.studies.flow import gradient_flow, stretches
from model.studies.starts import (
    direct_path,
    flows_by_start,
    matrices,
    ordinary,
    with_forget_bias,
)

STEPS = 12


def make(cell: str, layers: int = 1, hidden_size: int = 24) -> TextNetwork:
    torch.manual_seed(3)
    config = RecurrentConfig(cell=cell, hidden_size=hidden_size, layers=layers)
    return TextNetwork(config, 7)


@pytest.fixture
def tokens() -> Tensor:
    text = torch.randint(7, (300,), generator=torch.Generator().manual_seed(1))
    return stretches(text, 5, STEPS + 10, seed=1)


def test_without_recurrent_weights_the_direct_path_is_the_whole(tokens: Tensor) -> None:
    network = make("lstm", layers=1)
    with torch.no_grad():
        network.recurrent.cells[0].recurrent.weight.zero_()
    whole = gradient_flow(network, tokens, STEPS)["c"]
    direct = direct_path(network, tokens, STEPS)
    np.testing.assert_allclose(direct[1:], whole[1:], rtol=1e-12)
    forget = torch.sigmoid(torch.tensor(1.0))  # of the bias, moved by the input
    factor = (direct[STEPS] / direct[STEPS // 2]) ** (1 / (STEPS - STEPS // 2))
    assert np.median(factor) == pytest.approx(float(forget), abs=0.1)


@pytest.mark.parametrize("layers", [1, 2])
def test_the_direct_path_is_the_product_of_the_forget_gates(tokens: Tensor, layers: int) -> None:
    network = make("lstm", layers=layers).double().eval()
    direct = direct_path(network, tokens, STEPS)
    cell, projection = network.recurrent.cells[-1], network.recurrent.projections[-1]
    states = [network.initial_state(len(tokens))]
    forgets = []
    with torch.no_grad():
        for token in tokens[:, :-1].unbind(1):
            before = states[-1]
            states.append(network.recurrent.step(network.read(token), before)[1])
            below = network.read(token) if layers == 1 else states[-1][0][0]
            gates = projection(below) + cell.recurrent(before[0][-1])
            forgets.append(torch.sigmoid(gates.chunk(4, dim=1)[1]))
    ratios = direct[1:] / direct[:-1]
    products = torch.stack(forgets[::-1][:STEPS])
    assert (ratios <= products.amax(dim=2).numpy() + 1e-12).all()
    assert (ratios >= products.amin(dim=2).numpy() - 1e-12).all()


def test_a_higher_forget_bias_reaches_further(tokens: Tensor) -> None:
    network = make("lstm")
    reach = [
        np.median(direct_path(with_forget_bias(network, bias), tokens, STEPS)[STEPS])
        for bias in (0.0, 1.0, 2.0)
    ]
    assert reach[0] * 10 < reach[1]
    assert reach[1] * 3 < reach[2]
    bias = network.recurrent.projections[0].bias.chunk(4)
    assert bias[1].eq(1).all()  # the network itself stays as it was


def test_every_start_is_measured(tokens: Tensor) -> None:
    found = [(when, part) for when, part, _ in flows_by_start(make("rnn"), tokens, 3, seed=1)]
    assert found == [("orthogonal", "state"), ("ordinary", "state")]
    found = [(when, part) for when, part, _ in flows_by_start(make("lstm"), tokens, 3, seed=1)]
    assert len(found) == 12
    assert found[3] == ("orthogonal, forget bias 1", "direct")
    assert found[6] == ("ordinary, forget bias 0", "state")


def test_ordinary_weights_are_uniform_and_seeded() -> None:
    network = make("gru")
    one, again, other = (ordinary(network, seed=seed) for seed in (1, 1, 2))
    weight = one.recurrent.cells[0].recurrent.weight
    assert weight.abs().max() <= 24**-0.5
    assert float(weight.detach().std()) == pytest.approx(24**-0.5 / 3**0.5, rel=0.1)
    assert weight.equal(again.recurrent.cells[0].recurrent.weight)
    assert not weight.equal(other.recurrent.cells[0].recurrent.weight)
    for name in ("bias", "weight"):
        mine, theirs = (getattr(n.recurrent.projections[0], name) for n in (one, network))
        assert mine.equal(theirs)


def test_orthogonal_weights_reach_further_than_ordinary_ones(tokens: Tensor) -> None:
    flows = {when: ratios for when, _, ratios in flows_by_start(make("rnn"), tokens, STEPS, seed=1)}
    assert np.median(flows["ordinary"][STEPS]) < 0.1 * np.median(flows["orthogonal"][STEPS])


def test_singular_values_beside_spectral_radii(tokens: Tensor) -> None:
    found = list(matrices(make("rnn"), (0.5, 1.0), tokens, STEPS, seed=1))
    assert [(one.kind, round(one.radius, 3)) for one in found] == [
        ("orthogonal", 0.5),
        ("orthogonal", 1.0),
        ("ordinary", 0.5),
        ("ordinary", 1.0),
    ]
    for one in found[:2]:  # all singular values of a scaled rotation are its radius
        assert one.largest == pytest.approx(one.radius, rel=1e-5)
        assert one.smallest == pytest.approx(one.radius, rel=1e-5)
    for one in found[2:]:
        assert one.largest > 1.3 * one.radius
        assert one.smallest < 0.3 * one.radius
    # The gradient of k steps is at most the k-th power of the largest singular value.
    steps = np.arange(STEPS + 1)[:, None]
    for one in found:
        assert (one.flow <= one.largest**steps + 1e-9).all()


def test_only_an_lstm_has_a_direct_path(tokens: Tensor) -> None:
    with pytest.raises(ValueError, match="gru has no direct path: only an LSTM's c has"):
        direct_path(make("gru"), tokens, STEPS)
