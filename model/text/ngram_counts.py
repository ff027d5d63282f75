"""Count the n-grams of a text, of every order at once.

The suffixes that begin with the same n-gram lie together, so each n-gram is a range of them.
"""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from model.text.suffixes import shared_with_previous, sorted_suffixes

__all__ = ["OCCURRENCES", "PREDECESSORS", "Followers", "NGramCounts"]

Ints = NDArray[np.integer[Any]]

OCCURRENCES, PREDECESSORS = 0, 1  # the two ways to count an n-gram


class Followers(NamedTuple):
    """The distinct tokens that follow some contexts, by context and then by token."""

    context: Ints  # the number of the context
    token: Ints
    low: Ints  # the suffixes low..high begin with the context and the token
    high: Ints
    counts: tuple[Ints, Ints]  # of the context with the token: occurrences, predecessors


@dataclass(frozen=True, eq=False)
class NGramCounts:
    """The n-grams of a text; `NGramCounts.of` makes one.

    It takes 7 bytes a token where the vocabulary has up to 256 tokens.

    text: what was counted, big-endian so that its bytes sort as its tokens do.
    suffixes: where each suffix begins, sorted by as many tokens as the longest n-gram has.
    shared: how many of these each suffix shares with the one before it.
    shared_left: `shared` of the suffix that begins one token earlier. An n-gram has as many
        distinct tokens before it as its range has suffixes where this is at most n: there, the
        (n + 1)-gram that begins one token earlier comes for the first time.
    start: the token that each of several texts starts with, or None. It follows nothing; and as
        nothing stands before it, n-grams that begin with it have their occurrences for
        predecessors.
    """

    text: Ints
    suffixes: Ints
    shared: Ints
    shared_left: Ints
    start: int | None

    @classmethod
    def of(cls, ids: Ints, vocabulary_size: int, longest: int, start: int | None) -> Self:
        """Count the n-grams of up to `longest` tokens.

        Args:
            ids: the text, of 0..vocabulary_size - 1 (tokens,).
            vocabulary_size: at least 1.
            longest: 1 or more.
            start: see the class.
        """
        smallest = np.min_scalar_type(vocabulary_size - 1).newbyteorder(">")
        text = ids.astype(smallest)
        suffixes = sorted_suffixes(text, longest)
        shared = shared_with_previous(text, suffixes, longest)
        row = np.empty_like(suffixes)
        row[suffixes] = np.arange(len(text), dtype=suffixes.dtype)
        # The whole text gets the last token's suffix, which shares at most 1: at every order the
        # beginning of the text so counts as one more predecessor.
        return cls(text, suffixes, shared, shared[row[suffixes - 1]], start)

    def find(self, ngram: Ints) -> tuple[int, int]:
        """Return the range of the suffixes that begin with an n-gram."""
        wanted = ngram.astype(self.text.dtype).tobytes()

        def beginning(row: int) -> bytes:
            at = int(self.suffixes[row])
            return self.text[at : at + len(ngram)].tobytes()

        rows = range(len(self.suffixes))
        low = bisect_left(rows, wanted, key=beginning)
        return low, bisect_right(rows, wanted, lo=low, key=beginning)

    def every_ngram(self, size: int) -> Followers:
        """Find all n-grams of a size, as what follows contexts of one token less."""
        return self._followers(slice(0, len(self.text)), np.array([len(self.text)]), size - 1)

    def followers_of(self, low: int, high: int, depth: int) -> Followers:
        """Find what follows one context of `depth` tokens: a range of suffixes."""
        return self._followers(slice(low, high), np.array([high - low]), depth)

    def followers(self, low: Ints, high: Ints, depth: int) -> Followers:
        """Find what follows contexts of `depth` tokens: ranges of suffixes, sorted and disjoint."""
        sizes = high - low
        ends = np.cumsum(sizes)
        rows = np.arange(sizes.sum()) + np.repeat(low - ends + sizes, sizes)  # all ranges in a row
        return self._followers(rows, ends, depth)

    def _followers(self, rows: Ints | slice, ends: Ints, depth: int) -> Followers:
        """Find what follows contexts whose suffixes are in `rows`, each up to one of `ends`."""
        shared = self.shared[rows]
        first = np.flatnonzero(shared <= depth)  # where another follower begins
        occurrences = np.diff(first, append=len(shared))
        new_left = self.shared_left[rows] <= depth + 1
        predecessors = np.add.reduceat(new_left, first, dtype=np.int64)
        low = rows.start + first if isinstance(rows, slice) else rows[first]
        begin = self.suffixes[low]
        at = begin + depth
        inside = at < len(self.text)  # nothing follows a context that ends the text
        if self.start is not None:
            inside[inside] = self.text[at[inside]] != self.start
            alone = self.text[begin] == self.start
            predecessors[alone] = occurrences[alone]
        first, low, at = first[inside], low[inside], at[inside]
        counts = occurrences[inside], predecessors[inside]
        if len(ends) == 1:
            context = np.zeros(len(first), dtype=np.int64)
        else:
            context = np.searchsorted(ends, first, side="right")
        return Followers(context, self.text[at].astype(int), low, low + counts[0], counts)
