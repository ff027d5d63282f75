"""What kind of word a word of captions is: a noun, a verb, something else, or nothing by itself."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Literal

__all__ = ["WordKind", "word_kind"]

WordKind = Literal["noun", "verb", "other"]


def word_kind(word: str) -> WordKind | None:
    """Return what kind of word it is; None if it names nothing, as "the" or "several".

    Adjectives are `other`, and so is a word that the list does not know.
    """
    return _word_kinds().get(word, "other")


@cache
def _word_kinds() -> Mapping[str, WordKind | None]:
    """Read the list of kinds, which was made by hand for the shipped captioner's 1,500 words.

    Each was put where people's captions mostly use it: a "surf board" is a thing, "surfs" an
    action, and "parked" says what was done with a car. Under `none` are words that name nothing.
    """
    file = Path(__file__).with_name("word_kinds.json")
    lists: dict[str, list[str]] = json.loads(file.read_text("utf-8"))
    names: dict[str, WordKind | None] = {
        "noun": "noun",
        "verb": "verb",
        "other": "other",
        "none": None,
    }
    return {word: names[kind] for kind, lines in lists.items() for word in " ".join(lines).split()}
