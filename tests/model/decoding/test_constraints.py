"""Each constraint alone, against a slow reference, on NumPy's arrays and on PyTorch's."""

import math
import random
from collections.abc import Callable
from itertools import pairwise, product

import numpy as np
import pytest
import torch

from model.arrays import Array
from model.decoding.constraints import (
    Constraint,
    ForbiddenTokens,
    MinLength,
    NoEcho,
    NoOpenEnding,
    NoRepeatNgram,
    NoRepeatNoun,
    _mask_where,
)

LIBRARIES = pytest.mark.parametrize("array", [np.array, torch.tensor], ids=["numpy", "torch"])
END = 1

Make = Callable[[object], Array]


def masked(
    constraint: Constraint, array: Make, tokens: list[list[list[int]]], vocabulary: int = 6
) -> list[list[set[int]]]:
    """The tokens that a constraint masks, of each sequence; the other scores must stay."""
    before = np.random.default_rng(0).normal(size=(len(tokens), len(tokens[0]), vocabulary))
    scores = array(before.astype(np.float32))
    constraint.mask(scores, array(np.array(tokens, dtype=np.int64)))
    after = np.asarray(scores)
    kept = ~np.isneginf(after)
    assert (after[kept] == before.astype(np.float32)[kept]).all()
    return [[set(np.flatnonzero(~row).tolist()) for row in member] for member in kept]


def sequences(length: int, count: int = 40, seed: int = 0) -> list[list[int]]:
    numbers = random.Random(seed)
    return [[numbers.randrange(6) for _ in range(length)] for _ in range(count)]


@LIBRARIES
def test_forbidden_tokens_are_masked_in_every_sequence(array: Make) -> None:
    assert masked(ForbiddenTokens([0, 4]), array, [[[1, 2], [3, 4]]] * 2) == [[{0, 4}] * 2] * 2
    assert masked(ForbiddenTokens([]), array, [[[1, 2]]]) == [[set()]]


@LIBRARIES
def test_min_length_masks_the_end_token_of_shorter_sequences(array: Make) -> None:
    for length, expected in ((0, {END}), (1, {END}), (2, set()), (3, set())):
        tokens = [[[2] * length] * 3]
        assert masked(MinLength(2, END), array, tokens) == [[expected] * 3]


@LIBRARIES
@pytest.mark.parametrize("n", [1, 2, 3, 5])
@pytest.mark.parametrize("length", [0, 1, 2, 3, 4, 9, 30])
def test_a_token_that_repeats_an_ngram_is_masked(array: Make, n: int, length: int) -> None:
    given = sequences(length, seed=length)

    def repeating(sequence: list[int]) -> set[int]:
        grams = {tuple(sequence[i : i + n]) for i in range(length - n + 1)}
        return {t for t in range(6) if tuple([*sequence, t][length - n + 1 :]) in grams}

    expected = [repeating(s) if length >= n else set() for s in given]
    found = masked(NoRepeatNgram(n), array, [given[:20], given[20:]])
    assert found == [expected[:20], expected[20:]]


@LIBRARIES
def test_an_ngram_size_of_0_masks_nothing(array: Make) -> None:
    assert masked(NoRepeatNgram(0), array, [[[2, 2, 2, 2]]]) == [[set()]]


@LIBRARIES
@pytest.mark.parametrize("words", [(), (3,), (0, 5)])
@pytest.mark.parametrize("longest", [1, 2, 4])
@pytest.mark.parametrize("length", [0, 1, 2, 3, 6, 9])
def test_a_token_that_completes_an_echo_is_masked(
    array: Make, words: tuple[int, ...], longest: int, length: int
) -> None:
    given = sequences(length, seed=length)

    def echoing(sequence: list[int]) -> set[int]:
        found = set()
        for token, n in product(range(6), range(1, longest + 1)):
            words_and_token = [*sequence, token]
            middle = len(words_and_token) - n - 1
            if middle < n or words_and_token[middle] not in words:
                continue
            if words_and_token[middle - n : middle] == words_and_token[middle + 1 :]:
                found.add(token)
        return found

    expected = [echoing(s) for s in given]
    found = masked(NoEcho(words, longest), array, [given[:20], given[20:]])
    assert found == [expected[:20], expected[20:]]


@LIBRARIES
def test_no_sequence_ends_after_an_open_token(array: Make) -> None:
    is_open = np.array([True, False, False, True, False, False])
    constraint = NoOpenEnding(is_open, END)
    found = masked(constraint, array, [[[2, 0], [0, 2]], [[5, 3], [3, 5]]])
    assert found == [[{END}, set()], [{END}, set()]]
    assert masked(constraint, array, [[[], []]]) == [[set(), set()]]  # before the first token


@LIBRARIES
def test_a_sequence_that_cannot_go_on_may_end_after_an_open_token(array: Make) -> None:
    constraint = NoOpenEnding(np.array([True, False, False]), END)
    scores = array(np.array([[[-np.inf, 0.5, -np.inf], [-np.inf, 0.5, 0.1]]], np.float32))
    constraint.mask(scores, array(np.array([[[0], [0]]])))
    assert np.isneginf(np.asarray(scores)).tolist() == [[[True, False, True], [True, True, False]]]


NOUNS, COMPOUNDING, ARTICLES = {2, 3, 4}, {3, 4}, {0}


def no_repeat_noun() -> NoRepeatNoun:
    return NoRepeatNoun(
        *(
            np.array([token in kind for token in range(6)])
            for kind in (NOUNS, COMPOUNDING, ARTICLES)
        )
    )


@LIBRARIES
@pytest.mark.parametrize("length", [0, 1, 2, 3, 4, 5, 8, 12])
def test_a_noun_that_was_said_does_not_come_again_with_an_article(array: Make, length: int) -> None:
    def repeating(sequence: list[int]) -> set[int]:
        pairs = list(pairwise(sequence))
        said = {token for token, following in pairs if token in NOUNS and following not in NOUNS}
        if sequence and sequence[-1] in ARTICLES:
            return said - COMPOUNDING
        if len(sequence) > 1 and sequence[-2] in ARTICLES and sequence[-1] in COMPOUNDING & said:
            return set(range(6)) - NOUNS
        return set()

    given = sequences(length, count=400, seed=length)
    expected = [repeating(sequence) for sequence in given]
    found = masked(no_repeat_noun(), array, [given[:200], given[200:]])
    assert found == [expected[:200], expected[200:]]
    if length >= 4:  # both of its rules have been tried
        assert {frozenset(tokens) for tokens in expected} == {
            frozenset(),
            frozenset({2}),
            frozenset({0, 1, 5}),
        }


@LIBRARIES
def test_where_no_noun_is_left_the_next_token_need_not_be_one(array: Make) -> None:
    tokens = array(np.array([[[3, 5, 0, 3]] * 2]))  # must go on with a noun
    scores = np.zeros((1, 2, 6), dtype=np.float32)
    scores[0, 1, [2, 3, 4]] = -math.inf
    scores = array(scores)
    no_repeat_noun().mask(scores, tokens)
    left = np.isfinite(np.asarray(scores))[0]
    assert left.tolist() == [
        [False, False, True, True, True, False],
        [True, True, False, False, False, True],
    ]


@LIBRARIES
@pytest.mark.parametrize(
    ("candidates", "chosen", "expected"),
    [
        ([0, 2], [True, False], {0}),
        ([0, 2], [False, True], {2}),
        ([0, 2], [True, True], {0, 2}),
        ([0, 2], [False, False], set()),
        ([0, 0], [False, True], {0}),
        ([0, 0], [False, False], set()),
        ([2, 3], [True, False], {2}),
        ([2, 2], [True, False], {2}),
    ],
)
def test_token_0_is_masked_only_where_it_is_chosen(
    array: Make, candidates: list[int], chosen: list[bool], expected: set[int]
) -> None:
    scores = array(np.zeros((1, 2, 4), dtype=np.float32))
    # The other sequence has a chosen candidate, so that nothing is left early.
    _mask_where(scores, array([[candidates, [1, 1]]]), array([[chosen, [True, False]]]))
    rows = np.asarray(scores)[0]
    assert set(np.flatnonzero(rows[0] == -math.inf).tolist()) == expected
    assert np.flatnonzero(rows[1] == -math.inf).tolist() == [1]
