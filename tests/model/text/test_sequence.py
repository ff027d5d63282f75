"""A draft against the text that its tokens spell."""

import math

import numpy as np
import pytest

from model.text.sequence import Draft
from model.text.stop_strings import TextDelta
from model.vocabulary import Vocabulary

SPECIAL = ["<PAD>", "<START>", "<END>", "<UNK>"]
LETTERS = Vocabulary([*SPECIAL, "a", "b", "c"], "character")
WORDS = Vocabulary([*SPECIAL, "a", "dog", "runs"], "word")
END = LETTERS.end_id


def draft(vocabulary: Vocabulary = LETTERS, *begun: int, **options: object) -> Draft:
    given = {"spaced": True, "no_repeat_ngram_size": 0, "stop": ()} | options
    return Draft(7, vocabulary, begun, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(("spaced", "first"), [(True, "a"), (False, " a")])
def test_words_bring_the_space_before_them(spaced: bool, first: str) -> None:
    text = draft(WORDS, spaced=spaced)
    assert [p.text for token in (4, 5, 6) for p in text.add(token, 0)] == [first, " dog", " runs"]


def test_a_piece_tells_all_of_its_token() -> None:
    top = (("b", -0.5), ("a", -1.5))
    assert draft().add(4, -1.5, top) == [TextDelta(7, "a", "a", -1.5, top)]


def test_the_end_token_lets_go_of_what_was_held() -> None:
    text = draft(stop=["ab"])
    assert text.add(4, -1) == []
    assert [(p.text, p.token) for p in text.add(END, -2)] == [("a", "a"), ("", "<END>")]
    assert text.ended


def test_a_stop_ends_it_and_is_left_out() -> None:
    text = draft(stop=["bc"])
    pieces = [piece for token in (4, 5, 6) for piece in text.add(token, -1)]
    assert "".join(piece.text for piece in pieces) == "a"
    assert pieces[-1] == TextDelta(7, "", finish_reason="stop")
    assert text.ended


def test_a_cut_lets_go_of_what_was_held() -> None:
    text = draft(stop=["ab"])
    text.add(4, -1)
    assert [(p.text, p.finish_reason) for p in text.cut()] == [("a", None), ("", "length")]
    assert text.ended


def test_what_it_goes_on_from_is_not_repeated_either() -> None:
    text, logprobs = draft(LETTERS, 4, 5, 4, no_repeat_ngram_size=2), np.zeros(7)
    text.forbid(logprobs)
    assert logprobs.tolist() == [0, 0, 0, 0, 0, -math.inf, 0]
