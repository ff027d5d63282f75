"""Find what a text has word for word from a corpus."""

from bisect import bisect_left

import numpy as np

from model.text.suffixes import sorted_suffixes

__all__ = ["CopyFinder"]


class CopyFinder:
    """Finds the longest stretch of a text that stands in a corpus, character by character.

    Args:
        corpus: the text to look in; it is sorted once, by its suffixes.
        longest: the length, in characters, above which nobody needs to know; 1 or more.
    """

    def __init__(self, corpus: str, longest: int) -> None:
        self._corpus = corpus
        self._longest = longest
        codes = np.frombuffer(corpus.encode("utf-32-le"), dtype="<u4").astype(np.int64)
        self._suffixes = sorted_suffixes(codes, longest)

    def longest(self, text: str) -> str:
        """Return the first of the longest stretches, up to `longest` characters of it."""
        length, begin = 0, 0
        for start in range(len(text)):
            # Only a longer one matters, so that each place costs one search and no more.
            while length < min(self._longest, len(text) - start):
                if not self._has(text[start : start + length + 1]):
                    break
                length, begin = length + 1, start
        return text[begin : begin + length]

    def _has(self, stretch: str) -> bool:
        def beginning(at: int) -> str:
            return self._corpus[at : at + len(stretch)]

        row = bisect_left(self._suffixes, stretch, key=beginning)
        return row < len(self._suffixes) and beginning(self._suffixes[row]) == stretch
