"""What the gates of units do while a language model reads a text.

A step of the network keeps only h and c. The gates of a few units follow from these and from the
units' own rows of the weights, so that reading a text costs no more than without them. For
captioners see `model.interpretation.caption_gates`.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

import numpy as np
from safetensors import safe_open

from model.bundle.format import WEIGHTS, BundleError
from model.bundle.tensors import complete_safetensors

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from model.config import CellName, RecurrentConfig
    from model.text.scores import UnitStates

__all__ = [
    "GATED_CELLS",
    "GRUGates",
    "LSTMGates",
    "RNNGates",
    "UnitGates",
    "check_cell",
    "checked",
    "loaded_weights",
    "rows_of",
    "unit_gates",
]


@dataclass(frozen=True)
class UnitGates:
    """A unit at each token, as `model.networks.cells` computes it; each array (tokens,).

    Attributes:
        blocks: of the projected input, in the order of the weights.
        h: the output after the token, -1 to 1.
    """

    blocks: ClassVar[int]

    h: NDArray[np.float32]

    def deviation(self, before: NDArray[np.float32]) -> float:
        """Return how far the state is at most from the one that the gates give.

        Args:
            before: c, or h if there is no c, before each token (tokens,).
        """
        return 0.0


@dataclass(frozen=True)
class RNNGates(UnitGates):
    """A unit without gates: h' = tanh(x + U h)."""

    blocks = 1


@dataclass(frozen=True)
class GRUGates(UnitGates):
    """h' = (1 - z) * n + z * h, where h is that of the token before.

    Attributes:
        r, z: reset and update gate, 0 to 1.
        n: the candidate, -1 to 1.
    """

    blocks = 3

    r: NDArray[np.float32]
    z: NDArray[np.float32]
    n: NDArray[np.float32]

    def deviation(self, before: NDArray[np.float32]) -> float:
        """Compare h with what z and n make of the h before."""
        return float(np.abs((1 - self.z) * self.n + self.z * before - self.h).max(initial=0))


@dataclass(frozen=True)
class LSTMGates(UnitGates):
    """c' = f * c + i * g and h' = o * tanh(c'), where c is that of the token before.

    Attributes:
        i, f, o: input, forget and output gate, 0 to 1.
        g: the candidate, -1 to 1.
        c: the cell after the token.
    """

    blocks = 4

    i: NDArray[np.float32]
    f: NDArray[np.float32]
    o: NDArray[np.float32]
    g: NDArray[np.float32]
    c: NDArray[np.float32]

    def deviation(self, before: NDArray[np.float32]) -> float:
        """Compare c with what f, i and g make of the c before."""
        return float(np.abs(self.f * before + self.i * self.g - self.c).max(initial=0))

    @classmethod
    def of(
        cls, sums: NDArray[np.float32], hidden: NDArray[np.float32], cell: NDArray[np.float32]
    ) -> Self:
        """Apply the gates' functions to their sums of products.

        Args:
            sums: in the order i, f, g, o, as the weights have them (tokens, 4).
            hidden: h after each token (tokens,).
            cell: c after each token (tokens,).
        """
        i, f, o = (_sigmoid(sums[:, block]) for block in (0, 1, 3))
        return cls(hidden, i, f, o, np.tanh(sums[:, 2]), cell)


Gates = TypeVar("Gates", bound=UnitGates)

_MOST_DEVIATION = 0.2

GATED_CELLS: Mapping[str, type[UnitGates]] = {"rnn": RNNGates, "gru": GRUGates, "lstm": LSTMGates}


def check_cell(cell: CellName, cells: Collection[str] = GATED_CELLS) -> None:
    """Check that the gates of a cell are known here.

    Raises:
        ValueError: they are not.
    """
    if cell not in cells:
        names = ", ".join(f"{name.upper()}s" for name in cells)
        raise ValueError(f"gates are those of {names}, and these cells are {cell.upper()}s")


@contextmanager
def loaded_weights(path: Path) -> Iterator[Any]:
    """Open the file that a model's weights were loaded from.

    Raises:
        BundleError: it cannot be read, or what is computed from it in this block does not fit the
            model's states: it is another file by now.
    """
    try:
        with complete_safetensors(path), safe_open(path, framework="numpy") as weights:
            yield weights
    except (IndexError, ValueError) as error:
        if isinstance(error, BundleError):
            raise
        raise BundleError(f"{path} has changed since it was loaded: load it again") from error


def checked(gates: Gates, before: NDArray[np.float32]) -> Gates:
    """Return gates that explain the states.

    Args:
        gates: of a unit.
        before: see `UnitGates.deviation`.

    Raises:
        ValueError: they do not, by more than half precision would.
    """
    if gates.deviation(before) > _MOST_DEVIATION:
        raise ValueError("the gates do not explain the states")
    return gates


def rows_of(
    weights: Any, name: str, unit: int, size: int, blocks: int = LSTMGates.blocks
) -> NDArray[np.float32]:
    """Read a unit's rows of a matrix, or its items of a bias: one of each block.

    Args:
        weights: an open safetensors file.
        name: of a tensor (blocks * size, ...).
        unit: its number in the layer, below `size`.
        size: units in the layer.
        blocks: such as those of i, f, g and o.
    """
    tensor = weights.get_slice(name)
    rows = range(unit, blocks * size, size)
    return np.stack([tensor[row : row + 1][0] for row in rows]).astype(np.float32)


def unit_gates(
    folder: Path, config: RecurrentConfig, states: UnitStates, units: Sequence[int]
) -> list[UnitGates]:
    """Compute the gates of units of a language model after each token of a text.

    Args:
        folder: of the model's bundle.
        config: its network's.
        states: from `LanguageModel.activations(text, states=True)`.
        units: numbers, as in `Activations.units`.

    Raises:
        ValueError: the cells are none of `GATED_CELLS`.
        BundleError: the weights cannot be read.
    """
    check_cell(config.cell)
    with loaded_weights(folder / WEIGHTS) as weights:
        embedded = None
        if config.embedding_size is not None:
            embedded = weights.get_tensor("embedding.weight")[states.ids[1:]].astype(np.float32)
        return [_gates_of(weights, config, states, embedded, unit) for unit in units]


def _gates_of(
    weights: Any,
    config: RecurrentConfig,
    states: UnitStates,
    embedded: NDArray[np.float32] | None,
    number: int,
) -> UnitGates:
    """Compute the gates of a unit; `embedded` are the tokens (tokens, embedding), or one-hot."""
    layer, unit = divmod(number, config.hidden_size)
    hidden, *cells = (part[:, layer] for part in states.parts)  # (time, hidden)
    after = hidden[1:, unit]
    if config.cell == "rnn":
        return RNNGates(after)
    blocks = GATED_CELLS[config.cell].blocks

    def read(name: str) -> NDArray[np.float32]:
        return rows_of(weights, f"recurrent.{name}", unit, hidden.shape[1], blocks)

    projection = read(f"projections.{layer}.weight")  # (blocks, input)
    if layer:
        inputs = states.parts[0][1:, layer - 1] @ projection.T
    elif embedded is None:  # one-hot: a column for each token
        inputs = projection.T[states.ids[1:]]
    else:
        inputs = embedded @ projection.T
    inputs = inputs + read(f"projections.{layer}.bias")  # (tokens, blocks)
    recurrent = hidden[:-1] @ read(f"cells.{layer}.recurrent.weight").T
    if config.cell == "lstm":
        lstm = LSTMGates.of(inputs + recurrent, after, cells[0][1:, unit])
        return checked(lstm, cells[0][:-1, unit])
    recurrent = recurrent + read(f"cells.{layer}.recurrent.bias")
    r, z = (_sigmoid(inputs[:, block] + recurrent[:, block]) for block in (0, 1))
    gru = GRUGates(after, r, z, np.tanh(inputs[:, 2] + r * recurrent[:, 2]))
    return checked(gru, hidden[:-1, unit])


def _sigmoid(x: NDArray[np.float32]) -> NDArray[np.float32]:
    half = np.float32(0.5)
    chances: NDArray[np.float32] = half + half * np.tanh(half * x)
    return chances
