"""What a decoder keeps of a batch of pictures, and its parts by name.

Arrays of any library; knows nothing of what a decoder does with them.
"""

from collections.abc import Mapping
from typing import NamedTuple, Self

from model.arrays import Array

__all__ = ["DecoderState", "ImageContext"]

DecoderState = tuple[Array, ...]  # h, or h and c, of each cell, each (batch, beam, hidden)


class ImageContext(NamedTuple):
    """What a decoder keeps of a batch of pictures, computed once.

    `values` and `keys` are the grid as attention reads it (None without attention), which some
    runners lay out by heads (see `model.networks.heads`); `gates` is the picture's part of the
    first cell's projected input; `evidence` is the word detector's; `start` is the state before the
    first token, each array (batch, hidden).
    """

    gates: Array | None  # (batch, width)
    keys: Array | None  # (batch, cells, attention)
    values: Array | None  # (batch, cells, hidden)
    evidence: Array | None  # (batch, vocabulary)
    start: DecoderState

    def to_dict(self) -> dict[str, Array]:
        """Name the arrays that there are, each (batch, ...); the start is `start.0`, `start.1`."""
        arrays = {name: getattr(self, name) for name in self._fields[:-1]}
        named = {name: array for name, array in arrays.items() if array is not None}
        return named | {f"start.{i}": array for i, array in enumerate(self.start)}

    @classmethod
    def from_dict(cls, named: Mapping[str, Array]) -> Self:
        """Put together again what `to_dict` named."""
        starts = sum(name.startswith("start.") for name in named)
        return cls(
            named.get("gates"),
            named.get("keys"),
            named.get("values"),
            named.get("evidence"),
            tuple(named[f"start.{i}"] for i in range(starts)),
        )
