"""What the settings of several studies have in common."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

__all__ = ["PartSettings", "check_least", "check_parts", "check_rates"]


def check_least(settings: object, least: int, *names: str) -> None:
    """Check that numbers of a study's settings are large enough.

    Raises:
        ValueError: one is below `least`.
    """
    for name in names:
        if getattr(settings, name) < least:
            raise ValueError(f"{name} must be at least {least}, got {getattr(settings, name)}")


def check_rates(rates: Sequence[float]) -> None:
    """Check learning rates.

    Raises:
        ValueError: there are none, or one is not above 0.
    """
    if not rates or min(rates) <= 0:
        raise ValueError(f"learning rates must be above 0, got {rates}")


def check_parts(names: Iterable[str], known: Sequence[str]) -> tuple[str, ...]:
    """Check which parts of a study are wanted; none means all.

    Raises:
        ValueError: there is no such part.
    """
    chosen = tuple(dict.fromkeys(names)) or tuple(known)
    for name in chosen:
        if name not in known:
            raise ValueError(f"unknown part {name!r}: choose from {', '.join(known)}")
    return chosen


@dataclass(frozen=True)
class PartSettings:
    """What a study of several parts measures, and how often.

    Attributes:
        parts: of `PARTS`, which each study names; none means all.
        seeds: how many times everything random is repeated.
        seed: the first seed.

    Raises:
        ValueError: there is no such part, or a whole number other than the seed is below 1.
    """

    PARTS: ClassVar[tuple[str, ...]]

    parts: tuple[str, ...] = ()
    seeds: int = 5
    seed: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", check_parts(self.parts, self.PARTS))
        numbers = [name for name, value in vars(self).items() if type(value) is int]
        check_least(self, 1, *(name for name in numbers if name != "seed"))

    @property
    def all_seeds(self) -> range:
        """Return every seed."""
        return range(self.seed, self.seed + self.seeds)
