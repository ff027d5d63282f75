r"""Write the names of files as text: exactly in outputs, safely on a terminal or in a spreadsheet.

A name is any bytes on most systems. Bytes that are not UTF-8 are written as `\xe9`, so that two
names never become the same text.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["escape_controls", "exact_text", "guard_formula", "shown_path", "unguard_formula"]

# A backslash that would read as the escape of a byte.
_LIKE_AN_ESCAPE = re.compile(rb"\\(?=x[0-9a-f]{2})")

# What moves the cursor, colours or reorders text on a terminal, and what no encoding can hold.
_CONTROLS = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)

# How a spreadsheet's formula begins; or a text that was guarded, or looks as if it were.
_FORMULA = re.compile("'*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")


def exact_text(path: Path) -> str:
    r"""Return a path as text that UTF-8 can hold, different for different paths.

    Bytes that are not UTF-8 become `\xe9`; in a name that spells such an escape itself, its
    backslash becomes `\x5c`.
    """
    return _LIKE_AN_ESCAPE.sub(rb"\\x5c", os.fsencode(path)).decode("utf-8", "backslashreplace")


def shown_path(path: Path) -> str:
    """Return a path for people to read, in one line: as exact, with control characters escaped."""
    return escape_controls(exact_text(path))


def escape_controls(text: str) -> str:
    r"""Escape the characters that would act on a terminal: an escape becomes `\x1b`."""
    return _CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def guard_formula(text: str) -> str:
    """Put an apostrophe before what a spreadsheet would run as a formula."""
    return f"'{text}" if _FORMULA.match(text) else text


def unguard_formula(text: str) -> str:
    """Undo `guard_formula`."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text
