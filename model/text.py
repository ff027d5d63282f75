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
    is read as "cafe"). What has no such counterpart stays as it is: the vocabulary then takes
    each such character for its unknown token.
    """
    text = text.replace("\r\n", "\n")
    return "".join(c if c in known else _nearest(c, known) for c in text)


def _nearest(character: str, known: Container[str]) -> str:
    plain = _PLAIN.get(character)
    if plain is None:
        parts = unicodedata.normalize("NFKD", character)
        plain = "".join(part for part in parts if not unicodedata.combining(part))
        if not plain and unicodedata.combining(character):
            return ""  # an accent by itself, after its letter
    return plain if all(c in known for c in plain) and plain != character else character
