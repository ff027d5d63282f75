"""Convert text to token ids and back, at word or character level."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Literal, Self

__all__ = ["END", "PAD", "START", "UNKNOWN", "Level", "Vocabulary", "split"]

PAD, START, END, UNKNOWN = "<PAD>", "<START>", "<END>", "<UNK>"

Level = Literal["word", "character"]

# Words keep inner apostrophes and hyphens ("man's", "t-shirt"); anything else separates words.
_WORD = re.compile(r"[^\W_]+(?:['-][^\W_]+)*")
# People and their phones type either quotation mark for an apostrophe.
_APOSTROPHES = str.maketrans("‘’", "''")


class Vocabulary:
    """An ordered list of distinct tokens: ids 0 to 3 are padding, start, end and unknown.

    Args:
        tokens: all tokens, the four special ones first.
        level: whether a token is a `word` or a `character`.

    Raises:
        ValueError: the special tokens are not the first four, or a token comes twice.
    """

    def __init__(self, tokens: Sequence[str], level: Level = "word") -> None:
        if list(tokens[:4]) != [PAD, START, END, UNKNOWN]:
            raise ValueError(
                f"a vocabulary must begin with {PAD} {START} {END} {UNKNOWN}, "
                f"but this one begins with {' '.join(map(repr, tokens[:4]))}"
            )
        self.tokens = tuple(tokens)
        self.level: Level = level
        self._ids = {token: i for i, token in enumerate(self.tokens)}
        if len(self._ids) != len(self.tokens):
            twice = next(t for t, n in Counter(self.tokens).items() if n > 1)
            raise ValueError(f"token {twice!r} comes twice in the vocabulary")
        if level not in ("word", "character"):
            raise ValueError(f"level must be 'word' or 'character', not {level!r}")

    pad_id, start_id, end_id, unknown_id = range(4)
    never_written = (pad_id, start_id, unknown_id)  # a model never generates these

    @classmethod
    def build(cls, texts: Iterable[str], level: Level = "word", min_count: int = 1) -> Self:
        """Build a vocabulary of all tokens that occur at least `min_count` times.

        Commoner tokens get smaller ids; ties are ordered alphabetically, so that the same texts
        always give the same ids.
        """
        counts: Counter[str] = Counter()
        for text in texts:
            counts.update(split(text, level))
        kept = [t for t, n in counts.items() if n >= min_count]
        kept.sort(key=lambda token: (-counts[token], token))
        return cls([PAD, START, END, UNKNOWN, *kept], level)

    def __len__(self) -> int:
        return len(self.tokens)

    def __contains__(self, token: object) -> bool:
        return token in self._ids

    def encode(self, text: str) -> list[int]:
        """Split `text` into tokens and return their ids, without start and end."""
        return [self._ids.get(token, self.unknown_id) for token in split(text, self.level)]

    def decode(self, ids: Iterable[int]) -> str:
        """Join the tokens of `ids`, leaving out special tokens."""
        separator = " " if self.level == "word" else ""
        return separator.join(self.tokens[i] for i in ids if i > self.unknown_id)

    def to_json(self) -> dict[str, Any]:
        """Return `{"level", "tokens"}`, which `from_json` reads."""
        return {"level": self.level, "tokens": list(self.tokens)}

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Build a vocabulary from the result of `to_json`.

        Raises:
            ValueError: `data` is not such an object.
        """
        if not isinstance(data, dict) or set(data) != {"level", "tokens"}:
            raise ValueError('a vocabulary is an object with "level" and "tokens"')
        tokens = data["tokens"]
        if not isinstance(tokens, list) or not all(isinstance(t, str) for t in tokens):
            raise ValueError('"tokens" must be a list of strings')
        return cls(tokens, data["level"])


def split(text: str, level: Level) -> list[str]:
    """Split text into tokens: lower-case words without punctuation, or unchanged characters.

    Curly apostrophes in words become plain ones.
    """
    if level == "character":
        return list(text)
    return _WORD.findall(text.lower().translate(_APOSTROPHES))
