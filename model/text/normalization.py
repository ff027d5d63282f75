"""Write any text in the characters that a model knows."""

import unicodedata
from collections.abc import Container

__all__ = ["with_known_characters"]

# ruff: noqa: RUF001 - easily confused characters are the very point
# Characters with a plain counterpart that Unicode's decomposition does not find.
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
    """Replace unknown characters by the nearest known ones, if there are any.

    Accents are dropped, typographic quotes and dashes become plain ones, and ligatures are split
    ("café" is read as "cafe"); an accent that follows its letter joins it if the two together are
    known. Other unknown characters stay: the vocabulary reads each as its unknown token.
    """
    read: list[str] = []
    for character in text.replace("\r\n", "\n"):
        if character in known:
            read.append(character)
            continue
        # In pairs: composing a whole text takes time quadratic in its longest run of marks.
        before = read.pop() if read else ""
        joined = unicodedata.normalize("NFC", before + character)
        read += [joined] if joined in known else [before, _nearest(character, known)]
    return "".join(read)


def _nearest(character: str, known: Container[str]) -> str:
    plain = _PLAIN.get(character)
    if plain is None:
        parts = unicodedata.normalize("NFKD", character)
        plain = "".join(part for part in parts if not unicodedata.combining(part))
        if not plain:  # only accents, which are dropped, unless it is a letter all the same
            return "" if unicodedata.category(character).startswith("M") else character
    return plain if all(c in known for c in plain) and plain != character else character
