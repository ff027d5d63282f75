"""What a decoder keeps of a batch of pictures, and its parts by name.

Arrays of any library; knows nothing of what a decoder does with them.
"""

from collections.abc import Mapping
from typing import NamedTuple

from model.arrays import Array

__all__ = ["Picture", "State", "from_parts", "parts"]

State = tuple[Array, ...]  # h, or h and c, of each cell, each (batch, beam, hidden)


class Picture(NamedTuple):
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
    start: State


def parts(picture: Picture) -> dict[str, Array]:
    """Name the arrays of a picture as the decoder keeps it, each (batch, ...)."""
    seen = {name: getattr(picture, name) for name in Picture._fields[:-1]}
    named = {name: part for name, part in seen.items() if part is not None}
    return named | {f"start.{i}": part for i, part in enumerate(picture.start)}


def from_parts(named: Mapping[str, Array]) -> Picture:
    """Put a picture together again from what `parts` gave."""
    starts = sum(name.startswith("start.") for name in named)
    return Picture(
        named.get("gates"),
        named.get("keys"),
        named.get("values"),
        named.get("evidence"),
        tuple(named[f"start.{i}"] for i in range(starts)),
    )
