"""Constraints on what may be written next, shared by beam search and sampling.

A constraint takes tokens out of the choice and leaves the log-probabilities of the others as the
model gave them. To add one, write a class with `mask` and list it where the caller builds its own.
"""

import math
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from array_api_compat import array_namespace, device
from numpy.typing import NDArray

from model.arrays import Array

__all__ = [
    "Constraint",
    "ForbiddenTokens",
    "MinLength",
    "NoEcho",
    "NoOpenEnding",
    "NoRepeatNgram",
    "NoRepeatNoun",
]

_NEVER = -math.inf


class Constraint(Protocol):
    """A constraint on what a sequence may contain."""

    def mask(self, scores: Array, tokens: Array) -> None:
        """Set the scores of tokens that may not come next to -inf, in place.

        Args:
            scores: of every next token (batch, beam, vocabulary).
            tokens: of each sequence so far (batch, beam, length).
        """


class ForbiddenTokens:
    """A ban on some tokens."""

    def __init__(self, tokens: Sequence[int]) -> None:
        self._tokens = tuple(tokens)

    def mask(self, scores: Array, tokens: Array) -> None:
        """See `Constraint.mask`."""
        del tokens
        for token in self._tokens:
            scores[..., token] = _NEVER


class MinLength:
    """A least number of tokens before the end token."""

    def __init__(self, length: int, end_token: int) -> None:
        self._length = length
        self._end_token = end_token

    def mask(self, scores: Array, tokens: Array) -> None:
        """See `Constraint.mask`."""
        if tokens.shape[-1] < self._length:
            scores[..., self._end_token] = _NEVER


class NoRepeatNgram:
    """A ban on n-grams of `size` tokens that the sequence already has (0: no ban)."""

    def __init__(self, size: int) -> None:
        self._size = size

    def mask(self, scores: Array, tokens: Array) -> None:
        """See `Constraint.mask`."""
        n, length = self._size, tokens.shape[-1]
        if not 0 < n <= length:
            return
        xp = array_namespace(tokens)
        last = tokens[:, :, n - 1 :]  # the last token of each n-gram (batch, beam, length - n + 1)
        repeats = xp.ones_like(last, dtype=xp.bool)
        for i in range(n - 1):
            recent = tokens[:, :, length - n + 1 + i, None]
            repeats = repeats & (tokens[:, :, i : length - n + 1 + i] == recent)
        _mask_where(scores, last, repeats)


class NoEcho:
    """A ban on the same tokens before and after some words ("and"): x and x, x y and x y.

    Args:
        words: the tokens in the middle.
        longest: most tokens on either side that are compared.
    """

    def __init__(self, words: Sequence[int], longest: int = 4) -> None:
        self._words = tuple(words)
        self._longest = longest

    def mask(self, scores: Array, tokens: Array) -> None:
        """See `Constraint.mask`."""
        length = tokens.shape[-1]
        if not self._words or length < 2:
            return
        xp, where = array_namespace(tokens), device(tokens)
        is_word = tokens == self._words[0]  # (batch, beam, length)
        for word in self._words[1:]:
            is_word = is_word | (tokens == word)
        if str(where) == "cpu" and not xp.any(is_word):  # see `_mask_where`
            return
        candidates, echoes = [], []
        for n in range(1, min(self._longest, length // 2) + 1):
            middle = length - n  # where the word stands, if n - 1 tokens follow it so far
            before, after = tokens[:, :, middle - n : middle], tokens[:, :, middle + 1 :]
            candidates.append(before[..., -1:])
            echo = is_word[:, :, middle] & xp.all(before[..., :-1] == after, axis=-1)
            echoes.append(echo[..., None])
        _mask_where(scores, xp.concat(candidates, axis=-1), xp.concat(echoes, axis=-1))


class NoOpenEnding:
    """A ban on the end where a sentence cannot end: "a dog with a".

    Args:
        is_open: for each token of the vocabulary, whether something must follow it (vocabulary,).
        end_token: its id.
    """

    def __init__(self, is_open: NDArray[np.bool_], end_token: int) -> None:
        self._is_open = is_open
        self._end_token = end_token
        self._placed: dict[object, Array] = {}  # the former, on each device

    def mask(self, scores: Array, tokens: Array) -> None:
        """See `Constraint.mask`; leaves the end where nothing else was left before."""
        if not tokens.shape[-1]:
            return
        xp, where = array_namespace(tokens), device(tokens)
        key = xp, where
        if key not in self._placed:  # where they stay: graphs refer to them
            self._placed.setdefault(key, xp.asarray(self._is_open, device=where))
        is_open = self._placed[key][tokens[..., -1]]  # (batch, beam)
        others = xp.sum(xp.astype(scores > _NEVER, xp.int32), axis=-1) > 1  # (batch, beam)
        never = xp.full((), _NEVER, dtype=scores.dtype, device=where)
        end = scores[..., self._end_token]
        scores[..., self._end_token] = xp.where(is_open & others, never, end)


class NoRepeatNoun:
    """A ban on a noun that comes again with nothing but an article: "a dog with a dog".

    A noun has been said where no other noun follows it: "tennis" has not been by "a tennis ball".
    It may come again with a word that tells the two apart ("a black dog"), or before another noun
    ("a train at a train station"). Of nouns that often stand before another, called compounding,
    the next token decides; of others, nothing is left to decide once the article is there.

    Args:
        nouns, compounding, articles: for each token of the vocabulary, whether it is one
            (vocabulary,). Compounding tokens are nouns.
    """

    def __init__(
        self, nouns: NDArray[np.bool_], compounding: NDArray[np.bool_], articles: NDArray[np.bool_]
    ) -> None:
        self._kinds = nouns, compounding, articles
        self._placed: dict[object, tuple[Array, ...]] = {}  # those three, on each device

    def mask(self, scores: Array, tokens: Array) -> None:
        """See `Constraint.mask`; always leaves a token that was left before."""
        if tokens.shape[-1] < 2:  # a noun and an article
            return
        xp, where = array_namespace(tokens), device(tokens)
        is_noun, is_compounding, is_article = self._on(xp, where)
        on_host = str(where) == "cpu"  # see `_mask_where`
        after_article = is_article[tokens[..., -1]]  # (batch, beam)
        noun_after_article = is_compounding[tokens[..., -1]] & is_article[tokens[..., -2]]
        if on_host and not xp.any(after_article | noun_after_article):
            return
        earlier = tokens[..., :-1]  # (batch, beam, length - 1)
        said = is_noun[earlier] & ~is_noun[tokens[..., 1:]]
        again = said & ~is_compounding[earlier] & after_article[..., None]
        _mask_where(scores, earlier, again)
        said_before = xp.any(said & (earlier == tokens[..., -1:]), axis=-1)
        allowed = ~(noun_after_article & said_before)[..., None] | is_noun
        if on_host and xp.all(allowed):
            return
        # Where other constraints have left no noun, whatever they have left stays.
        possible = xp.any((scores > _NEVER) & is_noun, axis=-1)[..., None]
        never = xp.full((), _NEVER, dtype=scores.dtype, device=where)
        scores[...] = xp.where(allowed | ~possible, scores, never)

    def _on(self, xp: Any, where: object) -> tuple[Array, ...]:
        """Return the three kinds of tokens on a device, where they stay: graphs refer to them."""
        key = (xp, where)
        if key not in self._placed:
            placed = tuple(xp.asarray(kind, device=where) for kind in self._kinds)
            self._placed.setdefault(key, placed)  # another thread may have been faster
        return self._placed[key]


def _mask_where(scores: Array, candidates: Array, chosen: Array) -> None:
    """Set the scores of the chosen candidates to -inf.

    Args:
        scores: (batch, beam, vocabulary)
        candidates: tokens (batch, beam, n).
        chosen: which of them are to be masked, boolean (batch, beam, n).
    """
    xp, where = array_namespace(scores), device(scores)
    # On another device, looking at a value would make the host wait.
    if str(where) == "cpu" and not xp.any(chosen):
        return
    batch, beam = scores.shape[:2]
    rows = xp.arange(batch, device=where)[:, None, None]
    slots = xp.arange(beam, device=where)[None, :, None]
    # Token 0 stands in for the candidates that are not chosen, so its own score is put back after.
    kept = xp.where(xp.any(chosen & (candidates == 0), axis=-1), _NEVER, scores[:, :, 0])
    # Made on the device: a number would be copied there, which no CUDA graph can do.
    never = xp.full((), _NEVER, dtype=scores.dtype, device=where)
    scores[rows, slots, xp.where(chosen, candidates, 0)] = never
    scores[:, :, 0] = kept
