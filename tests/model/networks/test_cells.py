"""Cells against their equations and against PyTorch's own."""

from typing import get_args

import pytest
import torch
from torch import nn

from model.config import CellName
from model.networks.cells import CELLS, LSTMCell, make_cell

FUSED = ["rnn", "lstm", "gru"]
EXACT = {"atol": 1e-12, "rtol": 0}

every_cell = pytest.mark.parametrize("name", CELLS)


def shaken(module: nn.Module, seed: int = 0) -> nn.Module:
    """Randomise all parameters, in double precision: zeros, say, could hide a mistake."""
    torch.manual_seed(seed)
    for parameter in module.double().parameters():
        nn.init.uniform_(parameter, -1, 1)
    return module


def random(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.double)


def equations(name, weights, x, h, c):
    """Compute one step for one x and h, as the papers write it, from the weights.

    The input has the size of h, as MUT1 and MUT2 require.
    """
    sigmoid, tanh = torch.sigmoid, torch.tanh

    def split(matrix, vector, parts):
        return zip(weights[matrix].chunk(parts), weights[vector].chunk(parts), strict=True)

    if name == "rnn":
        return (tanh(weights["in.weight"] @ x + weights["in.bias"] + weights["recurrent"] @ h),)
    if name == "lstm":
        w_i, w_f, w_g, w_o = (w @ x + b for w, b in split("in.weight", "in.bias", 4))
        u_i, u_f, u_g, u_o = (u @ h for u in weights["recurrent"].chunk(4))
        after = sigmoid(w_f + u_f) * c + sigmoid(w_i + u_i) * tanh(w_g + u_g)
        return sigmoid(w_o + u_o) * tanh(after), after
    if name == "gru":
        w_r, w_z, w_n = (w @ x + b for w, b in split("in.weight", "in.bias", 3))
        u_r, u_z, u_n = (u @ h + d for u, d in split("recurrent", "recurrent.bias", 3))
        z = sigmoid(w_z + u_z)
        return ((1 - z) * tanh(w_n + sigmoid(w_r + u_r) * u_n) + z * h,)
    if name == "gru-cho":
        w_r, w_z, w_n = (w @ x + b for w, b in split("in.weight", "in.bias", 3))
        u_r, u_z = (u @ h for u in weights["gates"].chunk(2))
        z, r = sigmoid(w_z + u_z), sigmoid(w_r + u_r)
        return (z * h + (1 - z) * tanh(w_n + weights["candidate"] @ (r * h)),)
    if name == "mut1":
        w_z, w_r = (w @ x + b for w, b in split("in.blocks.weight", "in.blocks.bias", 2))
        z, r = sigmoid(w_z), sigmoid(w_r + weights["reset"] @ h)
        new = tanh(weights["candidate"] @ (r * h) + tanh(x) + weights["candidate.bias"])
    elif name == "mut2":
        w_z, w_h = (w @ x + b for w, b in split("in.blocks.weight", "in.blocks.bias", 2))
        z = sigmoid(w_z + weights["update"] @ h)
        r = sigmoid(x + weights["reset"] @ h + weights["reset.bias"])
        new = tanh(weights["candidate"] @ (r * h) + w_h)
    else:
        w_z, w_r, w_h = (w @ x + b for w, b in split("in.weight", "in.bias", 3))
        z = sigmoid(w_z + weights["update"] @ tanh(h))
        r = sigmoid(w_r + weights["reset"] @ h)
        new = tanh(weights["candidate"] @ (r * h) + w_h)
    return (new * z + h * (1 - z),)


@every_cell
def test_a_cell_computes_its_equations(name):
    cell = shaken(make_cell(name, 4))
    projection = shaken(cell.input_projection(4), seed=1)
    weights = {key.removesuffix(".weight"): value for key, value in cell.state_dict().items()}
    weights |= {f"in.{key}": value for key, value in projection.state_dict().items()}
    x, h, c = random(3, 4)
    state = (h, c)[: cell.num_states]
    torch.testing.assert_close(
        cell(projection(x), state), equations(name, weights, x, h, c), **EXACT
    )


@pytest.mark.parametrize("name", FUSED)
def test_cells_agree_with_pytorch(name):
    cell = shaken(make_cell(name, 5))
    projection = shaken(cell.input_projection(3), seed=1)
    theirs = getattr(nn, f"{name.upper()}Cell")(3, 5).double()
    with torch.no_grad():
        theirs.weight_ih.copy_(projection.weight)
        theirs.bias_ih.copy_(projection.bias)
        theirs.weight_hh.copy_(cell.recurrent.weight)
        theirs.bias_hh.copy_(cell.recurrent.bias if name == "gru" else torch.zeros(1))
    state = (random(2, 5), random(2, 5))[: cell.num_states]
    expected = state if cell.num_states > 1 else state[0]
    for _ in range(4):
        x = random(2, 3)
        state, expected = cell(projection(x), state), theirs(x, expected)
        torch.testing.assert_close(state, expected if cell.num_states > 1 else (expected,), **EXACT)


@pytest.mark.parametrize("name", ["mut1", "mut2"])
def test_an_input_of_another_size_is_mapped_to_the_size_of_h(name):
    cell = make_cell(name, 4)
    x = torch.randn(2, 3)
    other = cell.input_projection(3)
    torch.testing.assert_close(other(x)[:, 8:], x @ other.through.weight.T)
    same = cell.input_projection(4)
    x = torch.randn(2, 4)
    assert same(x)[:, 8:].equal(x)
    assert [key for key, _ in same.named_parameters()] == ["blocks.weight", "blocks.bias"]


def test_the_two_grus_differ_only_in_where_they_reset():
    after, before = shaken(make_cell("gru", 4)), make_cell("gru-cho", 4).double()
    with torch.no_grad():
        after.recurrent.bias.zero_()
        gates, candidate = after.recurrent.weight.split([8, 4])
        before.gates.weight.copy_(gates)
        before.candidate.weight.copy_(candidate)
    projected, state = random(3, 12), (random(3, 4),)
    assert not torch.allclose(after(projected, state)[0], before(projected, state)[0])
    with torch.no_grad():  # r = 1: nothing is reset, and both are the same
        projected[:, :4] = 1e3
    torch.testing.assert_close(after(projected, state), before(projected, state), **EXACT)


@every_cell
def test_any_leading_dimensions_work(name):
    cell = make_cell(name, 4)
    projected = cell.input_projection(3)(torch.randn(2, 5, 3))
    assert projected.shape == (2, 5, cell.width)
    state = tuple(torch.randn(2, 5, 4) for _ in range(cell.num_states))
    together = cell(projected, state)
    assert len(together) == cell.num_states
    for b in range(2):
        alone = cell(projected[b, 0], tuple(part[b, 0] for part in state))
        torch.testing.assert_close(tuple(part[b, 0] for part in together), alone)


@every_cell
def test_a_new_cell_is_orthogonal_and_has_no_bias(name):
    cell = make_cell(name, 6)
    for key, parameter in cell.named_parameters():
        if key.endswith("bias"):
            assert parameter.eq(0).all()
        else:
            for block in parameter.split(6):
                torch.testing.assert_close(block @ block.T, torch.eye(6))
    if name != "lstm":
        biases = [p for key, p in cell.input_projection(3).named_parameters() if "bias" in key]
        assert all(bias.eq(0).all() for bias in biases)


def test_a_new_lstm_remembers():
    forget = LSTMCell(6).input_projection(3).bias.view(4, 6)
    assert forget[1].eq(1).all()
    assert forget[[0, 2, 3]].eq(0).all()


def test_the_lstms_parameter_names_match_shipped_weights():
    cell = LSTMCell(2)
    assert list(cell.state_dict()) == ["recurrent.weight"]
    assert list(cell.input_projection(3).state_dict()) == ["weight", "bias"]


def test_cells_are_found_by_name():
    assert get_args(CellName) == tuple(CELLS)
    with pytest.raises(
        ValueError, match="unknown cell 'elman': choose one of rnn, lstm, gru, gru-cho"
    ):
        make_cell("elman", 3)
    with pytest.raises(ValueError, match="unknown cell 'LSTM'"):
        make_cell("LSTM", 3)
