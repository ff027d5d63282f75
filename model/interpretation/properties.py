"""Compute properties of a text that a unit might track, such as being inside quotes.

Each maps a text to one value per character. The value at place t holds once character t was read:
`"` itself is inside when it opens a quotation and outside when it closes one. Most properties use
nothing after t, so that a network could know them exactly at that step; those with "next" or "near"
in their name depend on what follows, which it can only predict.

A text is assumed to start a line, outside everything.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from model.interpretation.c_source import read_c

__all__ = ["PROPERTIES", "Kind", "Measured", "Property", "Values", "properties_of"]

Kind = Literal["any", "prose", "c"]
Values = NDArray[np.bool_] | NDArray[np.float32]

_TAB = 8
_NEAR = 5


@dataclass(frozen=True)
class Measured:
    """A property of a text.

    Attributes:
        values: (characters,) of bool or float32.
        mask: (characters,); False where the value is unknown and must be ignored.
    """

    values: Values
    mask: NDArray[np.bool_]


@dataclass(frozen=True)
class Property:
    """A named property.

    Attributes:
        name: what the command, the API and reports call it.
        kind: the texts it is for; "c" reads comments and strings, which in prose would take an
            apostrophe for the start of a literal.
        description: exactly when it holds.
        measure: computes the values of a text, which may be empty.
    """

    name: str
    kind: Kind
    description: str
    measure: Callable[[str], Measured]


def properties_of(kind: Kind) -> list[Property]:
    """Return the properties for a kind of text, those for any text included."""
    return [known for known in PROPERTIES.values() if known.kind in ("any", kind)]


def _characters(text: str) -> NDArray[np.str_]:
    return np.array(list(text), dtype="<U1")


def _everywhere(values: Values) -> Measured:
    return Measured(values, np.ones(len(values), dtype=np.bool_))


def _paragraph_ends(text: str) -> NDArray[np.bool_]:
    """Mark the newlines that end a blank line."""
    ends = np.zeros(len(text), dtype=np.bool_)
    for line in re.finditer(r"^[^\S\n]*\n", text, re.MULTILINE):
        ends[line.end() - 1] = True
    return ends


def _quotes(text: str) -> Measured:
    """Toggle at straight quotes; reset at a blank line, or one missing quote inverts a book."""
    count = np.cumsum(_characters(text) == '"')
    # The count never falls, so the running maximum is the count at the last paragraph's end.
    before = np.maximum.accumulate(np.where(_paragraph_ends(text), count, 0))
    return _everywhere((count - before) % 2 == 1)


def _enclosed(text: str, opener: str, closer: str) -> Measured:
    """Mark text between brackets, nested or not; a blank line closes those left open."""
    inside = []
    depth = 0
    for character, end in zip(text, _paragraph_ends(text), strict=True):
        if end:
            depth = 0
        elif character == opener:
            depth += 1
        elif character == closer:
            depth = max(depth - 1, 0)
        inside.append(depth > 0)
    return _everywhere(np.array(inside, dtype=np.bool_))


def _line_position(text: str) -> Measured:
    places = np.arange(len(text))
    line_start = np.maximum.accumulate(np.where(_characters(text) == "\n", places, -1))
    return _everywhere((places - line_start).astype(np.float32))


def _indentation(text: str) -> Measured:
    widths = []
    width, leading = 0, True
    for character in text:
        if character == "\n":
            width, leading = 0, True
        elif leading and character == "\t":
            width += _TAB - width % _TAB
        elif leading and character == " ":
            width += 1
        else:
            leading = False
        widths.append(width)
    return _everywhere(np.array(widths, dtype=np.float32))


def _next(flags: NDArray[np.bool_]) -> Measured:
    """Shift flags from the next character to this one; the last character's is unknown."""
    values = np.zeros_like(flags)
    values[:-1] = flags[1:]
    return Measured(values, np.arange(len(flags)) < len(flags) - 1)


def _word_next(text: str) -> Measured:
    starts = np.zeros(len(text), dtype=np.bool_)
    for word in re.finditer(r"\w+(?:['\u2019]\w+)*", text):  # "don't" is one word
        starts[word.start()] = True
    return _next(starts)


def _capital_next(text: str) -> Measured:
    return _next(np.array([character.isupper() for character in text], dtype=np.bool_))


def _newline_next_at_parenthesis(text: str) -> Measured:
    """Mark each closing parenthesis that ends its line.

    Only closing parentheses are compared. Among all characters, a unit that is on at every ) would
    score well.
    """
    characters = _characters(text)
    ahead = _next(characters == "\n")
    at = characters == ")"
    return Measured(ahead.values & at, ahead.mask & at)


def _comment_or_string(text: str) -> Measured:
    source = read_c(text)
    return _everywhere(source.comment | source.string)


def _line_end_near(text: str) -> Measured:
    newlines = np.concatenate([_characters(text) == "\n", np.zeros(_NEAR, dtype=np.bool_)])
    near = np.zeros(len(text), dtype=np.bool_)
    for ahead in range(1, _NEAR + 1):
        near |= newlines[ahead : ahead + len(text)]
    # Close to the end of the text, "near" can be known, but "not near" cannot.
    return Measured(near, near | (np.arange(len(text)) < len(text) - _NEAR))


def _number(depths: NDArray[np.int32]) -> Measured:
    return _everywhere(depths.astype(np.float32))


_ALL = (
    Property(
        "position in line",
        "any",
        "how many characters of the current line were read; 0 once its newline was",
        _line_position,
    ),
    Property("word next", "any", "the next character starts a word", _word_next),
    Property(
        "capital next",
        "any",
        "the next character is an upper-case letter",
        _capital_next,
    ),
    Property(
        "line end near",
        "any",
        f"a newline is among the next {_NEAR} characters",
        _line_end_near,
    ),
    Property("inside quotes", "prose", "between straight double quotes of one paragraph", _quotes),
    Property(
        "inside parentheses",
        "prose",
        "between ( and ) of one paragraph",
        lambda text: _enclosed(text, "(", ")"),
    ),
    Property(
        "inside square brackets",
        "prose",
        "between [ and ] of one paragraph",
        lambda text: _enclosed(text, "[", "]"),
    ),
    Property(
        "indentation",
        "c",
        f"how many columns of leading white space the line has so far; tabs stop at every {_TAB}th",
        _indentation,
    ),
    Property(
        "brace depth",
        "c",
        "how many { are open, outside comments and strings",
        lambda text: _number(read_c(text).braces),
    ),
    Property(
        "inside C parentheses",
        "c",
        "at least one ( is open, outside comments and strings",
        lambda text: _everywhere(read_c(text).parentheses > 0),
    ),
    Property(
        "inside C square brackets",
        "c",
        "at least one [ is open, outside comments and strings",
        lambda text: _everywhere(read_c(text).brackets > 0),
    ),
    Property(
        "inside comment",
        "c",
        "in a block or line comment, from its second character on",
        lambda text: _everywhere(read_c(text).comment),
    ),
    Property(
        "inside string",
        "c",
        "in a string literal; character literals do not count",
        lambda text: _everywhere(read_c(text).string),
    ),
    Property("inside comment or string", "c", "in either of these", _comment_or_string),
    Property(
        "inside if condition",
        "c",
        "between the parentheses of an if (...); not in its body, and not in an #if",
        lambda text: _everywhere(read_c(text).condition),
    ),
    Property(
        "newline next at )",
        "c",
        "of a ): it ends its line",
        _newline_next_at_parenthesis,
    ),
)

# By name, in the order in which a report lists them.
PROPERTIES = {known.name: known for known in _ALL}
