"""Size networks of different cells to an equal number of parameters.

A cell with more matrices gets fewer units, so that none is better only for being larger (Chung et
al., "Empirical evaluation of gated recurrent neural networks on sequence modeling", 2014, compare
cells in this way).
"""

from bisect import bisect_left
from collections.abc import Iterable

import torch

from model.config import CellName, RecurrentConfig
from model.networks.cells import CELLS
from model.networks.text_network import TextNetwork

__all__ = ["check_cells", "nearest_network", "parameter_count"]

_MOST_UNITS = 2**16


def check_cells(names: Iterable[str]) -> tuple[CellName, ...]:
    """Check names of cells.

    Raises:
        ValueError: the list is empty, a cell is named twice, or there is no such cell.
    """
    cells: list[CellName] = []
    for name in names:
        if name not in CELLS:
            raise ValueError(f"unknown cell {name!r}: choose from {', '.join(CELLS)}")
        if name in cells:
            raise ValueError(f"the cell {name} is named twice")
        cells.append(name)  # type: ignore[arg-type]  # its names are the keys
    if not cells:
        raise ValueError(f"name at least one cell: {', '.join(CELLS)}")
    return tuple(cells)


def parameter_count(config: RecurrentConfig, vocabulary_size: int) -> int:
    """Count a network's parameters, input and output layers included."""
    with torch.device("meta"):  # shapes only, no memory
        network = TextNetwork(config, vocabulary_size)
    return sum(parameter.numel() for parameter in network.parameters())


def nearest_network(
    cell: CellName, parameters: int, vocabulary_size: int, *, layers: int = 1
) -> tuple[RecurrentConfig, int]:
    """Find the hidden size that gives a network on one-hot vectors about so many parameters.

    Returns:
        The configuration whose number of parameters is closest, and that number.

    Raises:
        ValueError: even one unit has more parameters.
    """

    def config(hidden_size: int) -> RecurrentConfig:
        return RecurrentConfig(cell=cell, hidden_size=hidden_size, layers=layers)

    def count(hidden_size: int) -> int:
        return parameter_count(config(hidden_size), vocabulary_size)

    if parameters < (least := count(1)):
        raise ValueError(f"{parameters} parameters are too few: one unit of {cell} has {least}")
    above = bisect_left(range(1, _MOST_UNITS + 1), parameters, key=count) + 1
    # MUT1 and MUT2 need no input matrix where the input size equals the hidden size, so the number
    # of parameters drops at that size.
    sizes = {size for size in (above - 1, above, above + 1, vocabulary_size) if size >= 1}
    best = min(sorted(sizes), key=lambda size: abs(count(size) - parameters))
    return config(best), count(best)
