"""Sequences to rewrite: dates in three spellings, and sums."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from model.studies.sequences.networks import END, PAD, START

__all__ = ["TASKS", "RewriteTask", "dates", "make_rewrite_task", "sums"]

_TEST = 1_000  # pairs that are held out
_FIRST_DAY, _LAST_DAY = datetime.date(1900, 1, 1), datetime.date(2099, 12, 31)
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


@dataclass(frozen=True)
class RewriteTask:
    """Pairs of sequences; all are padded to the same lengths.

    Attributes:
        characters: what tokens from 3 on stand for.
        source, target: to train on, (pairs, length); sources are padded on the left, targets end
            with `END` and are padded on the right.
        test_source, test_target: to test with.
    """

    name: str
    characters: str
    source: Tensor
    target: Tensor
    test_source: Tensor
    test_target: Tensor

    @property
    def tokens(self) -> int:
        """Return how many tokens there are."""
        return START + 2 + len(self.characters)

    def spell(self, tokens: Tensor) -> str:
        """Return what tokens stand for, up to `END`."""
        found = []
        for token in tokens.tolist():
            if token == END:
                break
            found.append("" if token < 3 else self.characters[token - 3])
        return "".join(found)


def sums() -> list[tuple[str, str]]:
    """Return all sums of two numbers below 100: `47+38` and `85`."""
    return [(f"{a}+{b}", str(a + b)) for a in range(100) for b in range(100)]


def dates() -> list[tuple[str, str]]:
    """Return all days of two centuries, each in a spelling of three, and as ISO 8601 has them."""
    pairs = []
    for number in range((_LAST_DAY - _FIRST_DAY).days + 1):
        day = _FIRST_DAY + datetime.timedelta(days=number)
        month = _MONTHS[day.month - 1]
        spelt = (
            f"{day.day} {month} {day.year}",
            f"{month[:3]} {day.day}, {day.year}",
            f"{day.day}.{day.month}.{day.year}",
        )
        pairs.append((spelt[number * 7 % 11 % 3], day.isoformat()))
    return pairs


TASKS = {"date": dates, "sum": sums}


def make_rewrite_task(name: str, pairs: Sequence[tuple[str, str]], *, seed: int = 0) -> RewriteTask:
    """Encode pairs of texts, and hold some of them out.

    Args:
        name: of the task.
        pairs: source and target, all different.
        seed: of the choice.
    """
    characters = "".join(
        sorted({character for pair in pairs for text in pair for character in text})
    )
    numbers = {character: i for i, character in enumerate(characters, start=START + 2)}
    longest = [max(len(pair[side]) for pair in pairs) for side in (0, 1)]
    sources, targets = [], []
    for source, target in pairs:
        ids = [numbers[character] for character in source]
        sources.append([PAD] * (longest[0] - len(ids)) + ids)
        ids = [*(numbers[character] for character in target), END]
        targets.append(ids + [PAD] * (longest[1] + 1 - len(ids)))
    order = torch.randperm(len(pairs), generator=torch.Generator().manual_seed(seed))
    held_out = min(_TEST, len(pairs) // 5)
    test, train = order[:held_out], order[held_out:]
    read, written = torch.tensor(sources), torch.tensor(targets)
    return RewriteTask(name, characters, read[train], written[train], read[test], written[test])
