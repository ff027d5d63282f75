"""What kind of word a word of captions is: a noun, a verb, something else, or nothing by itself."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Literal

__all__ = ["WordKind", "is_compounding", "is_open", "word_kind"]

# Only captions that were cut off end with these: of people's 5,081 with "holding", "wearing" or
# "carrying", 12 do. Words such as "up", "by" or "her" are not listed: "a dog watches as a car
# drives by" is complete.
_OPEN = frozenset(
    (
        *("a", "an", "the", "his", "its", "their", "that"),
        *("and", "as", "because", "or", "while"),
        *("are", "is"),
        *("at", "for", "from", "in", "into", "of", "on", "to", "with"),
        *("carries", "carrying", "has", "holding", "holds", "wearing", "wears"),
    )
)

WordKind = Literal["noun", "verb", "other"]


def word_kind(word: str) -> WordKind | None:
    """Return what kind of word it is; None if it names nothing, as "the" or "several".

    Adjectives are `other`, and so is a word that the list does not know.
    """
    return _word_kinds().get(word, "other")


def is_compounding(word: str) -> bool:
    """Return whether a word is a noun that often stands before another, as "tennis" or "train"."""
    return word in _compounding()


def is_open(word: str) -> bool:
    """Return whether a caption cannot end with a word, as with "the" or "with"."""
    return word in _OPEN


@cache
def _word_kinds() -> Mapping[str, WordKind | None]:
    """Read the list of kinds.

    It was made by hand for the shipped captioner's 1,500 commonest words, and for those that name
    what its CNN's classifier recognises. Each was put where people's captions mostly use it: a
    "surf board" is a thing, "surfs" an action, and "parked" says what was done with a car. Under
    `none` are words that name nothing.
    """
    lists = _read_lists()
    names: dict[str, WordKind | None] = {
        "noun": "noun",
        "verb": "verb",
        "other": "other",
        "none": None,
    }
    return {word: names[kind] for kind in names for word in lists[kind]}


@cache
def _compounding() -> frozenset[str]:
    """Read the nouns that people put before another noun at least every fifth time.

    Counted in the training captions of Flickr8k and coco4k, of nouns that occur ten times there.
    """
    return frozenset(_read_lists()["compounding"])


def _read_lists() -> dict[str, list[str]]:
    file = Path(__file__).with_name("word_kinds.json")
    lists: dict[str, list[str]] = json.loads(file.read_text("utf-8"))
    return {name: " ".join(lines).split() for name, lines in lists.items()}
