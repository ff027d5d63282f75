"""Which pictures of a set look alike, and the file that lists them.

{"FILENAME": ["NEAREST FILENAME", "NEXT FILENAME", ...], ...}
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from model.data.karpathy import Entry
from model.files import write_json

__all__ = ["nearest", "read_lookalikes", "write_lookalikes"]


def nearest(features: Tensor, count: int) -> Tensor:
    """Find the nearest others of each vector, by the cosine between them.

    The mean of all is subtracted first, because what all pictures share says nothing about two.

    Args:
        features: (pictures, channels), more pictures than `count`.
        count: how many others.

    Returns:
        The indices of the others, the nearest first (pictures, count).
    """
    directions = nn.functional.normalize(features.float() - features.float().mean(0), dim=1)
    cosines = directions @ directions.T
    return cosines.fill_diagonal_(-torch.inf).topk(count).indices


def write_lookalikes(path: Path, lookalikes: Mapping[str, Sequence[str]]) -> None:
    """Write the file, whole or not at all."""
    write_json(path, lookalikes, indent=None)


def read_lookalikes(path: str | Path, entries: Sequence[Entry], count: int) -> list[list[int]]:
    """Read which entries look most like each entry.

    Args:
        path: of the file.
        entries: all pictures of the set.
        count: how many lookalikes of each.

    Returns:
        Indices of entries, the nearest first.

    Raises:
        ValueError: the file is not in the format, or lacks an entry or some of its lookalikes.
        FileNotFoundError: there is no such file.
    """
    indices = {entry.filename: index for index, entry in enumerate(entries)}
    try:
        known = json.loads(Path(path).read_bytes())
        found = [[indices[name] for name in known[e.filename][:count]] for e in entries]
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise ValueError(
            f'{path} does not list which of these pictures look alike ({{"FILENAME": ["NEAREST '
            f'FILENAME", ...]}}): {error!r}'
        ) from error
    if any(len(others) < count for others in found):
        raise ValueError(f"{path} has fewer than {count} lookalikes for some picture")
    return found
