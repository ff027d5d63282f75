"""Recurrent cells: one step of a recurrent network.

A cell is given its input already projected, since whoever owns the inputs can often project them
for many steps at once, or add several of them; the cell itself knows only the recurrent part.
"""

import torch
from torch import Tensor, nn

__all__ = ["LSTMCell", "LSTMState"]

LSTMState = tuple[Tensor, Tensor]  # h_t, c_t: (..., hidden)


class LSTMCell(nn.Module):
    """Long short-term memory with a forget gate (Hochreiter 1997; Gers 2000).

    i = sigmoid(x_i + U_i h),  f = sigmoid(x_f + U_f h),  o = sigmoid(x_o + U_o h)
    g = tanh(x_g + U_g h),     c' = f * c + i * g,        h' = o * tanh(c')

    where x = W x_t + b is the projected input, of `width` = 4 * hidden numbers in the order
    i, f, g, o (torch's own). The recurrent weights start orthogonal (Saxe et al. 2014).

    Args:
        hidden_size: units.
    """

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.width = 4 * hidden_size
        self.recurrent = nn.Linear(hidden_size, self.width, bias=False)
        for gate in self.recurrent.weight.chunk(4):
            nn.init.orthogonal_(gate)

    def input_projection(self, input_size: int) -> nn.Linear:
        """Make the W and b that project an input for this cell.

        The forget gates' bias starts at 1, so that a new cell remembers
        (Jozefowicz et al. 2015, section 4).
        """
        projection = nn.Linear(input_size, self.width)
        nn.init.zeros_(projection.bias)
        with torch.no_grad():
            projection.bias.chunk(4)[1].fill_(1)
        return projection

    def forward(self, projected: Tensor, state: LSTMState) -> LSTMState:
        """Take one step.

        Args:
            projected: (..., width)
            state: h and c, each (..., hidden)
        """
        hidden, cell = state
        gates = projected + self.recurrent(hidden)  # (..., 4 * hidden)
        # In half precision the cell state would lose what is added to it step by step.
        gates = gates.to(torch.promote_types(gates.dtype, torch.float32))
        i, f, g, o = gates.chunk(4, dim=-1)
        cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(cell), cell
