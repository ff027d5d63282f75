"""What the gates of an LSTM's units do while a language model reads a text.

A step of the network keeps only h and c. The gates of a few units follow from these and from the
units' own rows of the weights, so that reading a text costs no more than without them. For
captioners see `model.interpretation.caption_gates`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from safetensors import safe_open

from model.bundle.format import WEIGHTS
from model.bundle.tensors import complete_safetensors

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from model.config import CellName, RecurrentConfig
    from model.text.scores import UnitStates

__all__ = ["UnitGates", "check_cell", "lstm_gates", "rows_of"]


@dataclass(frozen=True)
class UnitGates:
    """A unit at each token, as `model.networks.cells.LSTMCell` computes it; each (tokens,).

    c' = f * c + i * g and h' = o * tanh(c'), where c is that of the token before.

    Attributes:
        i, f, o: input, forget and output gate, 0 to 1.
        g: the candidate, -1 to 1.
        c: the cell after the token.
        h: the output after the token, -1 to 1.
    """

    i: NDArray[np.float32]
    f: NDArray[np.float32]
    o: NDArray[np.float32]
    g: NDArray[np.float32]
    c: NDArray[np.float32]
    h: NDArray[np.float32]

    @classmethod
    def of(
        cls, sums: NDArray[np.float32], cell: NDArray[np.float32], hidden: NDArray[np.float32]
    ) -> Self:
        """Apply the gates' functions to their sums of products.

        Args:
            sums: in the order i, f, g, o, as the weights have them (tokens, 4).
            cell: c after each token (tokens,).
            hidden: h after each token (tokens,).
        """
        i, f, o = (_sigmoid(sums[:, block]) for block in (0, 1, 3))
        return cls(i, f, o, np.tanh(sums[:, 2]), cell, hidden)


def check_cell(cell: CellName) -> None:
    """Check that cells have these gates.

    Raises:
        ValueError: they are no LSTMs.
    """
    if cell != "lstm":
        raise ValueError(f"gates are those of an LSTM, and these cells are {cell.upper()}s")


def rows_of(weights: Any, name: str, unit: int, size: int) -> NDArray[np.float32]:
    """Read a unit's rows of a matrix, or its items of a bias: those of i, f, g and o.

    Args:
        weights: an open safetensors file.
        name: of a tensor (4 * size, ...).
        unit: its number in the layer, below `size`.
        size: units in the layer.
    """
    tensor = weights.get_slice(name)
    rows = range(unit, 4 * size, size)
    return np.stack([tensor[row : row + 1][0] for row in rows]).astype(np.float32)


def lstm_gates(
    folder: Path, config: RecurrentConfig, states: UnitStates, units: Sequence[int]
) -> list[UnitGates]:
    """Compute the gates of units of a language model after each token of a text.

    Args:
        folder: of the model's bundle.
        config: its network's.
        states: from `LanguageModel.activations(text, states=True)`.
        units: numbers, as in `Activations.units`.

    Raises:
        ValueError: the cells are not LSTMs.
        BundleError: the weights cannot be read.
    """
    check_cell(config.cell)
    path = folder / WEIGHTS
    with complete_safetensors(path), safe_open(path, framework="numpy") as weights:
        embedded = None
        if config.embedding_size is not None:
            embedded = weights.get_tensor("embedding.weight")[states.ids[1:]].astype(np.float32)
        return [
            _gates_of(weights, states, embedded, *divmod(unit, config.hidden_size))
            for unit in units
        ]


def _gates_of(
    weights: Any,
    states: UnitStates,
    embedded: NDArray[np.float32] | None,
    layer: int,
    unit: int,
) -> UnitGates:
    """Compute the gates of a unit; `embedded` are the tokens (tokens, embedding), or one-hot."""
    hidden, cell = (part[:, layer] for part in states.parts)  # (time, hidden)

    def read(name: str) -> NDArray[np.float32]:
        return rows_of(weights, f"recurrent.{name}", unit, hidden.shape[1])

    projection = read(f"projections.{layer}.weight")  # (4, input)
    if layer:
        inputs = states.parts[0][1:, layer - 1] @ projection.T
    elif embedded is None:  # one-hot: a column for each token
        inputs = projection.T[states.ids[1:]]
    else:
        inputs = embedded @ projection.T
    recurrent = hidden[:-1] @ read(f"cells.{layer}.recurrent.weight").T
    sums = inputs + recurrent + read(f"projections.{layer}.bias")  # (tokens, 4)
    return UnitGates.of(sums, cell[1:, unit], hidden[1:, unit])


def _sigmoid(x: NDArray[np.float32]) -> NDArray[np.float32]:
    half = np.float32(0.5)
    chances: NDArray[np.float32] = half + half * np.tanh(half * x)
    return chances
