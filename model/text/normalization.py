"""Writing any text with the characters that a model knows.

Knows characters; knows nothing of models or probabilities.
"""

import unicodedata
from collections.abc import Container

__all__ = ["with_known_characters"]

# ruff: noqa: RUF001 - the characters that are easily mistaken are what this is about
# What has a plain counterpart that Unicode's own decomposition does not give.
_PLAIN = {
    "‘": "'",
    "’": "'",
    "‚": "'",
    "“": '"',
    "”": '"',
    "„": '"',
    "«": '"',
    "»": '"',
    "‐": "-",
    "‑": "-",
    "–": "-",
    "—": "--",
    "−": "-",
    "×": "x",
    "ß": "ss",
    "æ": "ae",
    "Æ": "AE",
    "œ": "oe",
    "Œ": "OE",
    "ø": "o",
    "Ø": "O",
    "ł": "l",
    "\t": "    ",
    "\r": "",
}


def with_known_characters(text: str, known: Container[str]) -> str:
    """Put the nearest known characters in place of unknown ones, where there are any.

    Accents go, typographic quotes and dashes become plain ones, and ligatures fall apart ("café"
    is read as "cafe"); an accent that comes after its letter joins it where the two together are
    known. What has no such counterpart stays as it is: the vocabulary then takes each such
    character for its unknown token.
    """
    read: list[str] = []
    for character in text.replace("\r\n", "\n"):
        if character in known:
            read.append(character)
            continue
        # Two by two: to compose a whole text at once takes the square of the longest run of marks.
        before = read.pop() if read else ""
        joined = unicodedata.normalize("NFC", before + character)
        read += [joined] if joined in known else [before, _nearest(character, known)]
    return "".join(read)


def _nearest(character: str, known: Container[str]) -> str:
    plain = _PLAIN.get(character)
    if plain is None:
        parts = unicodedata.normalize("NFKD", character)
        plain = "".join(part for part in parts if not unicodedata.combining(part))
        if not plain:  # nothing but accents: of a letter before it, or a letter of its own kind
            return "" if unicodedata.category(character).startswith("M") else character
    return plain if all(c in known for c in plain) and plain != character else character
