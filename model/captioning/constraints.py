"""The constraints on captions that a way of decoding asks for."""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from model.captioning.word_kinds import is_compounding, is_open, word_kind
from model.config import DecodingConfig
from model.decoding.constraints import (
    Constraint,
    ForbiddenTokens,
    MinLength,
    NoEcho,
    NoOpenEnding,
    NoRepeatNgram,
    NoRepeatNoun,
)
from model.vocabulary import Vocabulary

__all__ = ["decoding_constraints"]

_ARTICLES = frozenset({"a", "an", "the"})


def decoding_constraints(vocabulary: Vocabulary, decoding: DecodingConfig) -> list[Constraint]:
    """Build the constraints on what may be written next."""
    words = [token for word in decoding.no_echo_words for token in vocabulary.encode(word)]
    constraints: list[Constraint] = [
        ForbiddenTokens(vocabulary.never_written),
        MinLength(1, vocabulary.end_id),  # an empty caption says nothing
        NoRepeatNgram(decoding.no_repeat_ngram_size),
        NoEcho(words),
    ]
    if decoding.no_open_endings and vocabulary.level == "word":
        constraints.append(_no_open_ending(vocabulary))
    if decoding.no_repeat_nouns:  # last, since it leaves what others have left
        constraints.append(_no_repeat_noun(vocabulary))
    return constraints


@lru_cache(maxsize=8)
def _no_open_ending(vocabulary: Vocabulary) -> NoOpenEnding:
    return NoOpenEnding(_tokens_that(vocabulary, is_open), vocabulary.end_id)


@lru_cache(maxsize=8)
def _no_repeat_noun(vocabulary: Vocabulary) -> NoRepeatNoun:
    return NoRepeatNoun(
        nouns=_tokens_that(vocabulary, lambda word: word_kind(word) == "noun"),
        compounding=_tokens_that(vocabulary, is_compounding),
        articles=_tokens_that(vocabulary, lambda word: word in _ARTICLES),
    )


def _tokens_that(vocabulary: Vocabulary, holds: Callable[[str], bool]) -> NDArray[np.bool_]:
    return np.array([holds(token) for token in vocabulary.tokens], dtype=np.bool_)
