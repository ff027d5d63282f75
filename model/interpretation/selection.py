"""Select units of a language model by number, by name or by the property that they track."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from model.interpretation.properties import PROPERTIES
from model.interpretation.units import Ranking, rank_units

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from model.text.scores import Activations

__all__ = ["TextActivations", "looks_like_c"]

_UNKNOWN = "\ufffd"  # replaces characters outside the vocabulary


@dataclass(frozen=True)
class TextActivations:
    """Activations per character of the text as the model read it.

    `text` may differ from what the model was given; it has as many characters as `values` has
    rows. `level` is what the model reads: characters or words.
    """

    level: str
    text: str
    values: NDArray[np.float32]
    units: tuple[str, ...]

    @classmethod
    def by_character(cls, activations: Activations, level: str) -> TextActivations:
        """Assign each character the activations of its token; a word includes the space before."""
        if level == "character":
            characters = [t if len(t) == 1 else _UNKNOWN for t in activations.tokens]
            return cls(level, "".join(characters), activations.values, activations.units)
        words = [f" {t}" if i else t for i, t in enumerate(activations.tokens)]
        values = np.repeat(activations.values, [len(word) for word in words], axis=0)
        return cls(level, "".join(words), values, activations.units)

    def find(self, units: Sequence[int | str]) -> list[int]:
        """Find units by number, or by name ("layer 1 unit 3").

        Raises:
            ValueError: there is no such unit.
        """
        names = {name: i for i, name in enumerate(self.units)}
        found = [names.get(unit, -1) if isinstance(unit, str) else unit for unit in units]
        for unit, index in zip(units, found, strict=True):
            if not 0 <= index < len(names):
                raise ValueError(
                    f"there is no unit {unit!r}: there are 0 to {len(names) - 1}, or "
                    f"{self.units[0]!r} to {self.units[-1]!r}"
                )
        return found

    def rank(self, property_name: str, units: Sequence[int] | None = None) -> Ranking:
        """Rank units, by default all of them, by how well they track a property.

        Raises:
            ValueError: there is no such property, it is constant in one half of this text, or
                the model reads words instead of characters.
        """
        if property_name not in PROPERTIES:
            known = ", ".join(map(repr, PROPERTIES))
            raise ValueError(f"there is no property {property_name!r}: there are {known}")
        if self.level != "character":
            raise ValueError(
                "properties are of characters, and this model reads words: choose units by number "
                "or name"
            )
        measured = PROPERTIES[property_name].measure(self.text)
        if units is None:
            return rank_units(self.values, measured.values, measured.mask, names=self.units)
        names = [self.units[unit] for unit in units]
        values = self.values[:, list(units)]
        ranking = rank_units(values, measured.values, measured.mask, names=names)
        return replace(ranking, units=[replace(u, unit=units[u.unit]) for u in ranking.units])


def looks_like_c(text: str) -> bool:
    """Guess whether a text is C or prose, by how its lines end."""
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    like_c = sum(line.endswith((";", "{", "}", "*/")) for line in lines)
    return 4 * like_c > len(lines)
