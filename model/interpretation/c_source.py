"""Scan C source for brackets, comments and strings, character by character.

The result for a character depends on it and those before it, never on later ones. There is no
grammar and no preprocessor: both branches of an `#if` count, trigraphs and raw strings are not
supported, and the text is assumed to start outside everything.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

__all__ = ["Source", "read_c"]


class _State(IntEnum):
    CODE = 0
    SLASH = 1  # a comment or a division: the next character decides
    BLOCK = 2
    BLOCK_STAR = 3
    LINE = 4
    LINE_ESCAPE = 5
    STRING = 6
    STRING_ESCAPE = 7
    CHARACTER = 8
    CHARACTER_ESCAPE = 9


# For each state: the next state after these characters, and the one after every other.
# A newline ends a string or a character literal that was never closed, as it does in C: so an
# apostrophe in an `#error` cannot swallow the rest of a file.
_NEXT: dict[_State, tuple[_State, dict[str, _State]]] = {
    _State.CODE: (
        _State.CODE,
        {"/": _State.SLASH, '"': _State.STRING, "'": _State.CHARACTER},
    ),
    _State.SLASH: (
        _State.CODE,
        {"/": _State.LINE, "*": _State.BLOCK, '"': _State.STRING, "'": _State.CHARACTER},
    ),
    _State.BLOCK: (_State.BLOCK, {"*": _State.BLOCK_STAR}),
    _State.BLOCK_STAR: (_State.BLOCK, {"*": _State.BLOCK_STAR, "/": _State.CODE}),
    _State.LINE: (_State.LINE, {"\n": _State.CODE, "\\": _State.LINE_ESCAPE}),
    _State.LINE_ESCAPE: (_State.LINE, {"\\": _State.LINE_ESCAPE}),
    _State.STRING: (
        _State.STRING,
        {'"': _State.CODE, "\\": _State.STRING_ESCAPE, "\n": _State.CODE},
    ),
    _State.STRING_ESCAPE: (_State.STRING, {}),
    _State.CHARACTER: (
        _State.CHARACTER,
        {"'": _State.CODE, "\\": _State.CHARACTER_ESCAPE, "\n": _State.CODE},
    ),
    _State.CHARACTER_ESCAPE: (_State.CHARACTER, {}),
}

_OPENERS = {"}": ("{",), "]": ("[",), ")": ("(", "if")}


@dataclass(frozen=True)
class Source:
    """The state of a C text after each character: arrays as long as the text.

    Attributes:
        comment: inside a block or line comment: from the `*` or second slash that opens it.
        string: inside a string; character literals such as '"' do not count.
        parentheses, brackets, braces: how many are open, outside comments and strings.
        condition: inside the parentheses of an `if (...)`; not its body, and not an `#if`.
    """

    comment: NDArray[np.bool_]
    string: NDArray[np.bool_]
    parentheses: NDArray[np.int32]
    brackets: NDArray[np.int32]
    braces: NDArray[np.int32]
    condition: NDArray[np.bool_]


def read_c(text: str) -> Source:
    """Scan a text once; it need not be complete or well formed."""
    states = _scan(text)
    depths = _nest(text, states)
    kinds = np.array(states, dtype=np.int8)
    return Source(
        comment=(kinds >= _State.BLOCK) & (kinds <= _State.LINE_ESCAPE),
        string=(kinds == _State.STRING) | (kinds == _State.STRING_ESCAPE),
        parentheses=depths[:, 0] + depths[:, 3],
        brackets=depths[:, 1],
        braces=depths[:, 2],
        condition=depths[:, 3] > 0,
    )


def _scan(text: str) -> list[_State]:
    """Return the state after each character."""
    states = []
    state = _State.CODE
    for character in text:
        otherwise, special = _NEXT[state]
        state = special.get(character, otherwise)
        states.append(state)
    return states


def _nest(text: str, states: list[_State]) -> NDArray[np.int32]:
    """Count the open "(", "[", "{" and `if (` after each character: (characters, 4)."""
    stack: list[str] = []
    depths = []
    depth: tuple[int, ...] = (0, 0, 0, 0)
    token = before = ""  # the last two tokens: a word, or one other character
    in_word = False
    last = _State.CODE
    for place, (character, state) in enumerate(zip(text, states, strict=True)):
        # A closing quote leads back to code, too, but is not code itself. A slash is left out, so
        # that a comment may come between `if` and its parenthesis.
        code = state == _State.CODE and last in (_State.CODE, _State.SLASH)
        word = code and (character.isalnum() or character == "_")
        if word and in_word:
            token += character
        elif code and not character.isspace():
            if character in "([{":
                # Neither `diff (` nor the preprocessor's `#if (`.
                is_if = character == "(" and token == "if" and before != "#"  # noqa: S105
                stack.append("if" if is_if else character)
            elif character in ")]}":
                _close(stack, character, first=text[max(place - 1, 0) : place] in ("", "\n"))
            if character in "([{)]}":
                depth = tuple(stack.count(kind) for kind in ("(", "[", "{", "if"))
            before, token = token, character
        in_word, last = word, state
        depths.append(depth)
    return np.array(depths, dtype=np.int32).reshape(-1, 4)


def _close(stack: list[str], closer: str, *, first: bool) -> None:
    """Pop the matching opener and all that is still open inside it; ignore a stray closer.

    A brace that is first in its line ends the function, so that the branches of an `#if`, each of
    which opens a brace that only one closes, do not deepen the rest of a file.
    """
    if closer == "}" and first:
        stack.clear()
    for place in reversed(range(len(stack))):
        if stack[place] in _OPENERS[closer]:
            del stack[place:]
            return
        if stack[place] == "{":  # a stray parenthesis does not close a block
            return
