"""What a decoder keeps of a batch of pictures, as arrays of any library."""

from collections.abc import Callable, Mapping
from typing import NamedTuple, Self

from model.arrays import Array

__all__ = ["DecoderState", "ImageContext"]

DecoderState = tuple[Array, ...]  # h, or h and c, of each cell, each (batch, beam, hidden)


class ImageContext(NamedTuple):
    """What a decoder keeps of a batch of pictures, computed once.

    `values` and `keys` are the grid as attention reads it (None without attention), which some
    runners split by heads (see `model.networks.heads`); `gates` is what the picture adds to the
    first cell's projected input; `evidence` is for words (see `Decoder.detect`); `start` is the
    state before the first token, each array (batch, hidden).
    """

    gates: Array | None  # (batch, width)
    keys: Array | None  # (batch, cells, attention)
    values: Array | None  # (batch, cells, hidden)
    evidence: Array | None  # (batch, vocabulary)
    start: DecoderState

    def to_dict(self) -> dict[str, Array]:
        """Return all arrays by name, each (batch, ...); those of the start are `start.0`, ..."""
        fields = {name: getattr(self, name) for name in self._fields[:-1]}
        arrays = {name: array for name, array in fields.items() if array is not None}
        return arrays | {f"start.{i}": array for i, array in enumerate(self.start)}

    @classmethod
    def from_dict(cls, arrays: Mapping[str, Array]) -> Self:
        """Build a context from the result of `to_dict`."""
        starts = sum(name.startswith("start.") for name in arrays)
        return cls(
            arrays.get("gates"),
            arrays.get("keys"),
            arrays.get("values"),
            arrays.get("evidence"),
            tuple(arrays[f"start.{i}"] for i in range(starts)),
        )

    def map(self, function: Callable[[Array], Array]) -> Self:
        """Return the context with a function of each array, such as its copy on a device."""
        return self.from_dict({name: function(array) for name, array in self.to_dict().items()})
