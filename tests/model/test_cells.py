"""Cells against their equations and against torch's own."""

import torch

from model.cells import LSTMCell


def test_lstm_is_torchs_lstm():
    torch.manual_seed(0)
    ours = LSTMCell(5).double()
    projection = ours.input_projection(3).double()
    theirs = torch.nn.LSTMCell(3, 5).double()
    with torch.no_grad():
        theirs.weight_ih.copy_(projection.weight)
        theirs.bias_ih.copy_(projection.bias)
        theirs.weight_hh.copy_(ours.recurrent.weight)
        theirs.bias_hh.zero_()
    state = theirs_state = (torch.zeros(2, 5).double(), torch.zeros(2, 5).double())
    for _ in range(4):
        x = torch.randn(2, 3).double()
        state = ours(projection(x), state)
        theirs_state = theirs(x, theirs_state)
        torch.testing.assert_close(state, theirs_state, atol=1e-12, rtol=0)


def test_lstm_is_its_equations():
    torch.manual_seed(1)
    cell = LSTMCell(4).double()
    x, h, c = torch.randn(16).double(), torch.randn(4).double(), torch.randn(4).double()
    i, f, g, o = (x + cell.recurrent.weight @ h).view(4, 4)
    after = f.sigmoid() * c + i.sigmoid() * g.tanh()
    expected = o.sigmoid() * after.tanh(), after
    torch.testing.assert_close(cell(x, (h, c)), expected, atol=1e-12, rtol=0)


def test_a_new_lstm_remembers_and_keeps_lengths():
    cell = LSTMCell(6)
    forget = cell.input_projection(3).bias.view(4, 6)
    assert forget[1].eq(1).all()
    assert forget[[0, 2, 3]].eq(0).all()
    for gate in cell.recurrent.weight.split(6):
        torch.testing.assert_close(gate @ gate.T, torch.eye(6))
