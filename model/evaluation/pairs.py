r"""Count what a text opens and closes: environments, braces, parentheses, comments, quotes.

A closing belongs to the innermost of its kind that is open, or, of environments, to the innermost
of the same name. What is still open at the end, or is left open inside what has closed, and what
closes nothing, is unmatched.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["PAIRS", "Balance", "PairKind"]


@dataclass(frozen=True)
class Balance:
    """How many pairs texts close, and how many openings and closings have no partner."""

    pairs: int
    unmatched: int

    @property
    def total(self) -> int:
        """Return how many pairs there would be if everything had a partner."""
        return self.pairs + self.unmatched

    @property
    def share(self) -> float | None:
        """Return the share of pairs in all that is opened or closed; None if nothing is."""
        return self.pairs / self.total if self.total else None


@dataclass(frozen=True)
class PairKind:
    """Something that a text opens and closes.

    Attributes:
        name: what reports call it.
        pattern: finds both; its group `open` is what opens, and its group `name`, if it has one,
            must be the same in both. Without a group `open`, every second one closes.
        nests: whether it may be opened while it is open.
        within: where it must close; what this pattern finds lies between. None: anywhere.
    """

    name: str
    pattern: re.Pattern[str]
    nests: bool = True
    within: re.Pattern[str] | None = None

    def count(self, texts: Sequence[str]) -> Balance:
        """Count the pairs of some texts, each on its own."""
        pairs = unmatched = 0
        for text in texts:
            for part in self.within.split(text) if self.within else (text,):
                closed, alone = self._count(part)
                pairs, unmatched = pairs + closed, unmatched + alone
        return Balance(pairs, unmatched)

    def openings(self, text: str) -> int:
        """Count what a text opens; where both sides look alike, both of them."""
        return sum(self._opens(found, is_open=False) for found in self.pattern.finditer(text))

    def _count(self, text: str) -> tuple[int, int]:
        """Return the pairs, and the openings and closings that have no partner."""
        pairs = unmatched = 0
        open_names: list[str | None] = []
        for found in self.pattern.finditer(text):
            name = found.groupdict().get("name")
            if self._opens(found, is_open=bool(open_names)):
                if open_names and not self.nests:
                    open_names.pop()
                    unmatched += 1
                open_names.append(name)
            elif name in open_names:
                while open_names.pop() != name:
                    unmatched += 1
                pairs += 1
            else:
                unmatched += 1
        return pairs, unmatched + len(open_names)

    def _opens(self, found: re.Match[str], *, is_open: bool) -> bool:
        if "open" in self.pattern.groupindex:
            return found["open"] is not None
        return not is_open


# By name, in the order in which a report shows them.
PAIRS = {
    kind.name: kind
    for kind in (
        PairKind(r"\begin \end", re.compile(r"\\(?:(?P<open>begin)|end)\{(?P<name>[^{}\n]*)\}")),
        PairKind("{ }", re.compile(r"(?<!\\)(?:(?P<open>\{)|\})")),
        PairKind("( )", re.compile(r"(?P<open>\()|\)")),
        PairKind("/* */", re.compile(r"(?P<open>/\*)|\*/"), nests=False),
        PairKind('" "', re.compile(r'(?<!\\)"'), within=re.compile(r"\n[^\S\n]*\n")),
    )
}
