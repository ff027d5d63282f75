"""Stacks of recurrent cells over vectors: one step, or a whole sequence at once."""

from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor, nn

from model.config import CellName
from model.networks.cells import Cell, CellState, make_cell, wide

__all__ = ["Recurrent"]


class Recurrent(nn.Module):
    """A stack of cells, each reading the h of the one below.

    The state is kept in float32 or wider; outputs have the precision of the inputs.

    Args:
        cell: the kind of cell.
        input_size: size of an input.
        hidden_size: units in each layer.
        layers: number of cells.
        dropout: between layers, in training (Zaremba et al. 2014); never between steps.
    """

    def __init__(
        self, cell: CellName, input_size: int, hidden_size: int, layers: int = 1, dropout: float = 0
    ) -> None:
        super().__init__()
        if layers < 1:
            raise ValueError(f"layers must be at least 1, got {layers}")
        cells = [make_cell(cell, hidden_size) for _ in range(layers)]
        sizes = [input_size] + [hidden_size] * (layers - 1)
        self.num_states = cells[0].num_states
        self.hidden_size = hidden_size
        self.cells = nn.ModuleList(cells)
        self.projections = nn.ModuleList(
            each.input_projection(size) for each, size in zip(cells, sizes, strict=True)
        )
        self.dropout = nn.Dropout(dropout)

    def initial_state(self, batch: int, device: torch.device | str | None = None) -> CellState:
        """Return the state before the first step: zeros, each (layers, batch, hidden)."""
        weight = next(self.parameters())
        zeros = weight.new_zeros(len(self.cells), batch, self.hidden_size, device=device)
        return (wide(zeros),) * self.num_states

    def step(self, inputs: Tensor, state: CellState) -> tuple[Tensor, CellState]:
        """Take one step.

        Args:
            inputs: (batch, input)
            state: each (layers, batch, hidden)

        Returns:
            h of the last layer (batch, hidden), and the next state.
        """
        precision = inputs.dtype
        after: list[CellState] = []
        for layer, (cell, projection) in enumerate(self._layers()):
            if layer:
                inputs = self.dropout(inputs)
            last = cell(projection(inputs), tuple(part[layer] for part in state))
            inputs = last[0].to(precision)
            after.append(last)
        return inputs, tuple(torch.stack(part) for part in zip(*after, strict=True))

    def forward(self, inputs: Tensor, state: CellState) -> tuple[Tensor, CellState]:
        """Take every step of a sequence, with PyTorch's fused kernels where possible.

        Args:
            inputs: (batch, time, input)
            state: each (layers, batch, hidden)

        Returns:
            h of the last layer after every step (batch, time, hidden), and the last state.
        """
        outputs, _, state = self._run_layers(inputs, state, fused=True)
        return outputs, state

    def states(self, inputs: Tensor, state: CellState) -> tuple[CellState, CellState]:
        """Take every step of a sequence, one by one, and return the states of every layer.

        Arguments as in `forward`.

        Returns:
            h, and c if the cell has one, after every step, each (batch, time, layers, hidden);
            and the last state, each (layers, batch, hidden).
        """
        _, states, state = self._run_layers(inputs, state, fused=False)
        return tuple(torch.stack(part, dim=2) for part in zip(*states, strict=True)), state

    def _run_layers(
        self, inputs: Tensor, state: CellState, *, fused: bool
    ) -> tuple[Tensor, list[CellState], CellState]:
        """Run a sequence through the layers, one after the other.

        Returns:
            The last layer's h; each layer's states after every step, unless `fused`; and the
            last state.
        """
        precision = inputs.dtype
        layer_states: list[CellState] = []
        after: list[CellState] = []
        for layer, (cell, projection) in enumerate(self._layers()):
            if layer:
                inputs = self.dropout(inputs)
            before = tuple(part[layer] for part in state)
            if fused:
                inputs, last = cell.run(projection, inputs, before)
            else:
                states, last = cell.unroll(projection, inputs, before)
                inputs = states[0]
                layer_states.append(states)
            inputs = inputs.to(precision)
            after.append(last)
        return inputs, layer_states, tuple(torch.stack(part) for part in zip(*after, strict=True))

    def _layers(self) -> Iterable[tuple[Cell, nn.Module]]:
        return zip(cast("Iterable[Cell]", self.cells), self.projections, strict=True)
