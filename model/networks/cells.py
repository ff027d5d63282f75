"""Recurrent cells behind one interface.

A `Cell` takes one step. Its input comes already projected, since the caller can often project the
inputs of many steps at once, or add several of them; the cell computes only the recurrent part.

In all equations x_r, x_z, ... are the blocks of the projected input W x + b, h and c the state
before the step, h' and c' after it; * is elementwise. Matrices that combine several blocks hold
them in the order of `input_projection`.

Initial weights, in every cell: those that multiply h are orthogonal, block by block, which
preserves its norm (Saxe et al. 2014; Cho et al. 2014 initialise the GRU so). Those that multiply x
are uniform within 1 / sqrt(input size), PyTorch's default. Biases are zero, except that of the
LSTM's forget gate.
"""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn

from model.config import CellName

__all__ = [
    "CELLS",
    "Cell",
    "CellState",
    "ChoGRUCell",
    "GRUCell",
    "LSTMCell",
    "MUT1Cell",
    "MUT2Cell",
    "MUT3Cell",
    "RNNCell",
    "make_cell",
    "wide",
]

# On an NVIDIA GPU the matrices of a cell, which are parameters of their own, are copied side by
# side for each sequence that is read: little work beside reading it.
warnings.filterwarnings("ignore", "RNN module weights are not part of single contiguous chunk")

CellState = tuple[Tensor, ...]  # h, or h and c; h is also the output


def wide(tensor: Tensor) -> Tensor:
    """Convert to float32 or wider: in half precision a state would lose small additions."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


class _Recurrence(nn.Linear):
    """U h, for `blocks` blocks at once, in the precision of the weights."""

    def __init__(self, hidden_size: int, blocks: int = 1, *, bias: bool = False) -> None:
        super().__init__(hidden_size, blocks * hidden_size, bias=bias)
        for block in self.weight.chunk(blocks):
            nn.init.orthogonal_(block)
        if bias:
            nn.init.zeros_(self.bias)

    def forward(self, hidden: Tensor) -> Tensor:
        return super().forward(hidden.to(self.weight.dtype))


class _WithInput(nn.Module):
    """W x + b, of two blocks, and then x itself, projected if its size is not that of h."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.blocks = _linear(input_size, 2 * hidden_size)
        same = input_size == hidden_size
        self.through = nn.Identity() if same else nn.Linear(input_size, hidden_size, bias=False)

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.cat([self.blocks(inputs), self.through(inputs)], dim=-1)


def _linear(input_size: int, width: int) -> nn.Linear:
    linear = nn.Linear(input_size, width)
    nn.init.zeros_(linear.bias)
    return linear


class Cell(nn.Module, ABC):
    """One step of a recurrent network.

    Attributes:
        num_states: the number of tensors in its state: 1 (h) or 2 (h and c).
        blocks: the size of the projected input, in multiples of `hidden_size`.
        width: the size of the projected input.

    Args:
        hidden_size: units.
    """

    num_states: ClassVar[int] = 1
    blocks: ClassVar[int]

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.width = self.blocks * hidden_size

    def input_projection(self, input_size: int) -> nn.Module:
        """Build the projection of this cell's input: (..., input_size) -> (..., width).

        The blocks come in the order in which the equations name them, unless a cell says otherwise.
        """
        return _linear(input_size, self.width)

    @abstractmethod
    def forward(self, projected: Tensor, state: CellState) -> CellState:
        """Take one step.

        Args:
            projected: (..., width)
            state: each (..., hidden)

        Returns:
            The next state, each (..., hidden), in float32 or wider whatever the input's precision.
        """

    def unroll(
        self, projection: nn.Module, inputs: Tensor, state: CellState
    ) -> tuple[CellState, CellState]:
        """Take every step of a sequence, one by one; the inputs are projected all at once.

        Args:
            projection: from `input_projection`.
            inputs: (batch, time, input)
            state: each (batch, hidden)

        Returns:
            The state after every step, each (batch, time, hidden), and the last one.
        """
        states: list[CellState] = []
        for projected in projection(inputs).unbind(1):
            state = self(projected, state)
            states.append(state)
        return tuple(torch.stack(part, dim=1) for part in zip(*states, strict=True)), state

    def run(
        self, projection: nn.Module, inputs: Tensor, state: CellState
    ) -> tuple[Tensor, CellState]:
        """Take every step of a sequence, as fast as possible, and return only h.

        Arguments as in `unroll`.

        Returns:
            h after every step (batch, time, hidden), and the last state.
        """
        states, state = self.unroll(projection, inputs, state)
        return states[0], state


class _FusedCell(Cell):
    """A cell for which PyTorch can run a whole sequence in one call, on the same parameters."""

    biased: ClassVar[bool] = False
    kernel: ClassVar[Callable[..., tuple[Tensor, ...]]]

    def __init__(self, hidden_size: int) -> None:
        super().__init__(hidden_size)
        self.recurrent = _Recurrence(hidden_size, self.blocks, bias=self.biased)

    def run(
        self, projection: nn.Module, inputs: Tensor, state: CellState
    ) -> tuple[Tensor, CellState]:
        """Take every step of a sequence in one call."""
        if not isinstance(projection, nn.Linear):  # all that the kernels support
            return super().run(projection, inputs, state)
        weight = self.recurrent.weight
        bias = self.recurrent.bias if self.biased else torch.zeros_like(projection.bias)
        before = tuple(part[None].to(weight.dtype) for part in state)  # (1, batch, hidden)
        if torch.is_autocast_enabled(device := inputs.device.type):
            # PyTorch looks at the inputs' precision to see whether oneDNN has a kernel for this
            # CPU. If autocast converted them later, it might call one that does not exist.
            inputs = inputs.to(torch.get_autocast_dtype(device))
        training = torch.is_grad_enabled()  # keeps what the backward pass needs
        outputs, *after = type(self).kernel(
            inputs,
            before if self.num_states > 1 else before[0],
            [projection.weight, weight, projection.bias, bias],
            # Biases, one layer, no dropout, one direction, (batch, time, ...).
            *(True, 1, 0.0, training, False, True),
        )
        return outputs, tuple(wide(part[0]) for part in after)


class RNNCell(_FusedCell):
    """The simple recurrent network (Elman 1990).

    h' = tanh(x_h + U h)
    """

    blocks = 1
    kernel = staticmethod(torch.rnn_tanh)

    def forward(self, projected: Tensor, state: CellState) -> CellState:
        """Take one step."""
        return (torch.tanh(wide(projected + self.recurrent(state[0]))),)


class LSTMCell(_FusedCell):
    """Long short-term memory with a forget gate (Hochreiter 1997; Gers 2000).

    i = sigmoid(x_i + U_i h),  f = sigmoid(x_f + U_f h),  o = sigmoid(x_o + U_o h)
    g = tanh(x_g + U_g h),     c' = f * c + i * g,        h' = o * tanh(c')

    The projected input and U hold i, f, g, o in this order, as in PyTorch.
    """

    num_states = 2
    blocks = 4
    kernel = staticmethod(torch.lstm)

    def input_projection(self, input_size: int) -> nn.Linear:
        """Build the W and b that project this cell's input.

        The forget gate's bias starts at 1, so that a new cell remembers (Jozefowicz et al. 2015,
        section 4).
        """
        projection = _linear(input_size, self.width)
        with torch.no_grad():
            projection.bias.chunk(4)[1].fill_(1)
        return projection

    def forward(self, projected: Tensor, state: CellState) -> CellState:
        """Take one step."""
        hidden, cell = state
        gates = wide(projected + self.recurrent(hidden))  # (..., 4 * hidden)
        i, f, g, o = gates.chunk(4, dim=-1)
        cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(cell), cell


class GRUCell(_FusedCell):
    """The gated recurrent unit, as PyTorch and cuDNN compute it.

    r = sigmoid(x_r + U_r h + d_r),  z = sigmoid(x_z + U_z h + d_z)
    n = tanh(x_n + r * (U_n h + d_n)),  h' = (1 - z) * n + z * h

    Cho et al. 2014 reset before the recurrent product, see `ChoGRUCell`; here all three products
    are one. The biases d are PyTorch's: d_n cannot be merged with x's bias, since r resets it too.
    z keeps the old state, as in Cho et al.; in MUT1-3 it overwrites it.
    """

    blocks = 3
    biased = True
    kernel = staticmethod(torch.gru)

    def forward(self, projected: Tensor, state: CellState) -> CellState:
        """Take one step."""
        hidden = wide(state[0])
        x_gates, x_n = wide(projected).tensor_split([2 * self.hidden_size], dim=-1)
        u_gates, u_n = wide(self.recurrent(hidden)).tensor_split([2 * self.hidden_size], dim=-1)
        r, z = torch.sigmoid(x_gates + u_gates).chunk(2, dim=-1)
        return (torch.lerp(torch.tanh(x_n + r * u_n), hidden, z),)


class ChoGRUCell(Cell):
    """The gated recurrent unit as it was published (Cho et al. 2014).

    r = sigmoid(x_r + U_r h),  z = sigmoid(x_z + U_z h)
    n = tanh(x_n + U_n (r * h)),  h' = (1 - z) * n + z * h

    The last product must wait for r, so PyTorch has no kernel for it, and a step takes two
    products one after the other.
    """

    blocks = 3

    def __init__(self, hidden_size: int) -> None:
        super().__init__(hidden_size)
        self.gates = _Recurrence(hidden_size, 2)
        self.candidate = _Recurrence(hidden_size)

    def forward(self, projected: Tensor, state: CellState) -> CellState:
        """Take one step."""
        hidden = wide(state[0])
        x_gates, x_n = wide(projected).tensor_split([2 * self.hidden_size], dim=-1)
        r, z = torch.sigmoid(x_gates + self.gates(hidden)).chunk(2, dim=-1)
        return (torch.lerp(torch.tanh(x_n + self.candidate(r * hidden)), hidden, z),)


class MUT1Cell(Cell):
    """The first of three cells that an evolutionary search found (Jozefowicz et al. 2015).

    z = sigmoid(x_z),  r = sigmoid(x_r + U_r h)
    h' = z * tanh(U_h (r * h) + tanh(x) + b_h) + (1 - z) * h

    x is the input itself, and must have the size of h: an input of another size is first
    multiplied by another matrix, without a bias.
    """

    blocks = 3

    def __init__(self, hidden_size: int) -> None:
        super().__init__(hidden_size)
        self.reset = _Recurrence(hidden_size)
        self.candidate = _Recurrence(hidden_size, bias=True)

    def input_projection(self, input_size: int) -> nn.Module:
        """Build the projection to x_z, x_r and x."""
        return _WithInput(input_size, self.hidden_size)

    def forward(self, projected: Tensor, state: CellState) -> CellState:
        """Take one step."""
        hidden = wide(state[0])
        z, r, x = wide(projected).chunk(3, dim=-1)
        r = torch.sigmoid(r + self.reset(hidden))
        new = torch.tanh(torch.tanh(x) + self.candidate(r * hidden))
        return (torch.lerp(hidden, new, torch.sigmoid(z)),)


class MUT2Cell(Cell):
    """The second of the three (Jozefowicz et al. 2015).

    z = sigmoid(x_z + U_z h),  r = sigmoid(x + U_r h + b_r)
    h' = z * tanh(U_h (r * h) + x_h) + (1 - z) * h

    x is the input itself, as in MUT1; it is the last block of the projected input.
    """

    blocks = 3

    def __init__(self, hidden_size: int) -> None:
        super().__init__(hidden_size)
        self.update = _Recurrence(hidden_size)
        self.reset = _Recurrence(hidden_size, bias=True)
        self.candidate = _Recurrence(hidden_size)

    def input_projection(self, input_size: int) -> nn.Module:
        """Build the projection to x_z, x_h and x."""
        return _WithInput(input_size, self.hidden_size)

    def forward(self, projected: Tensor, state: CellState) -> CellState:
        """Take one step."""
        hidden = wide(state[0])
        z, new, x = wide(projected).chunk(3, dim=-1)
        z = torch.sigmoid(z + self.update(hidden))
        r = torch.sigmoid(x + self.reset(hidden))
        new = torch.tanh(new + self.candidate(r * hidden))
        return (torch.lerp(hidden, new, z),)


class MUT3Cell(Cell):
    """The third of the three (Jozefowicz et al. 2015).

    z = sigmoid(x_z + U_z tanh(h)),  r = sigmoid(x_r + U_r h)
    h' = z * tanh(U_h (r * h) + x_h) + (1 - z) * h
    """

    blocks = 3

    def __init__(self, hidden_size: int) -> None:
        super().__init__(hidden_size)
        self.update = _Recurrence(hidden_size)
        self.reset = _Recurrence(hidden_size)
        self.candidate = _Recurrence(hidden_size)

    def forward(self, projected: Tensor, state: CellState) -> CellState:
        """Take one step."""
        hidden = wide(state[0])
        z, r, new = wide(projected).chunk(3, dim=-1)
        z = torch.sigmoid(z + self.update(torch.tanh(hidden)))
        r = torch.sigmoid(r + self.reset(hidden))
        new = torch.tanh(new + self.candidate(r * hidden))
        return (torch.lerp(hidden, new, z),)


CELLS: dict[str, type[Cell]] = {
    "rnn": RNNCell,
    "lstm": LSTMCell,
    "gru": GRUCell,
    "gru-cho": ChoGRUCell,
    "mut1": MUT1Cell,
    "mut2": MUT2Cell,
    "mut3": MUT3Cell,
}


def make_cell(name: CellName, hidden_size: int) -> Cell:
    """Build a cell by name.

    Raises:
        ValueError: there is no such cell.
    """
    if name not in CELLS:
        raise ValueError(f"unknown cell {name!r}: choose one of {', '.join(CELLS)}")
    return CELLS[name](hidden_size)
