"""A sequence against the text that its tokens spell."""

import math
import random
from collections import Counter

import numpy as np
import pytest

from model.config import SamplingConfig
from model.decoding.constraints import NoRepeatNgram
from model.decoding.sampling import random_numbers
from model.text.deltas import DeltaBuffer, TextDelta
from model.text.sequence import GeneratedSequence
from model.vocabulary import Vocabulary

SPECIAL = ["<PAD>", "<START>", "<END>", "<UNK>"]
LETTERS = Vocabulary([*SPECIAL, "a", "b", "c"], "character")
WORDS = Vocabulary([*SPECIAL, "a", "dog", "runs"], "word")
END = LETTERS.end_id


def make(
    vocabulary: Vocabulary = LETTERS,
    *prompt: int,
    after_space: bool = True,
    stop: tuple[str, ...] = (),
    **sampling: int,
) -> GeneratedSequence:
    return GeneratedSequence(
        7,
        vocabulary,
        prompt,
        after_space=after_space,
        sampling=SamplingConfig(**sampling),  # type: ignore[arg-type]
        numbers=random_numbers(0),
        stop=stop,
        buffer=DeltaBuffer(),
    )


def append(sequence: GeneratedSequence, *tokens: int) -> list[TextDelta]:
    """Append tokens, and take the deltas that are certain by then."""
    for token in tokens:
        sequence.append(token, -1.0)
    deltas, sequence.buffer.deltas = sequence.buffer.deltas, []
    return deltas


def test_the_next_token_to_read_is_the_last_one() -> None:
    assert make().next_token == Vocabulary.start_id
    sequence = make(LETTERS, 5, 6)
    assert sequence.next_token == 6
    append(sequence, 4)
    assert sequence.next_token == 4


@pytest.mark.parametrize(("after_space", "first"), [(True, "a"), (False, " a")])
def test_words_come_with_the_space_before_them(after_space: bool, first: str) -> None:
    deltas = append(make(WORDS, after_space=after_space), 4, 5, 6)
    assert [delta.text for delta in deltas] == [first, " dog", " runs"]


def test_a_delta_has_all_that_is_known_of_its_token() -> None:
    sequence, top = make(), (("b", -0.5), ("a", -1.5))
    sequence.append(4, -1.5, top)
    assert sequence.buffer.deltas == [TextDelta(7, "a", "a", -1.5, top)]
    assert not sequence.finished


def test_the_end_token_releases_what_was_held_back() -> None:
    sequence = make(stop=("ab",))
    assert append(sequence, 4) == []
    assert [(d.text, d.token) for d in append(sequence, END)] == [("a", "a"), ("", "<END>")]
    assert sequence.finished


def test_a_stop_string_ends_the_text_and_is_left_out() -> None:
    sequence = make(stop=("bc",))
    deltas = append(sequence, 4, 5, 6)
    assert "".join(delta.text for delta in deltas) == "a"
    assert deltas[-1] == TextDelta(7, "", finish_reason="stop")
    assert sequence.finished


def test_max_tokens_ends_the_text_and_releases_what_was_held_back() -> None:
    sequence = make(LETTERS, 4, 5, stop=("ab",), max_tokens=3)
    assert [delta.text for delta in append(sequence, 5, 5)] == ["b", "b"]
    deltas = append(sequence, 4)
    assert [(d.text, d.finish_reason) for d in deltas] == [("a", None), ("", "length")]
    assert sequence.finished


@pytest.mark.parametrize(("last", "reason"), [(END, "stop"), (6, "stop"), (5, "length")])
def test_a_text_that_ends_with_its_last_token_says_why_once(last: int, reason: str) -> None:
    sequence = make(stop=("c",), max_tokens=2)
    deltas = append(sequence, 4, last)
    assert [d.finish_reason for d in deltas if d.finish_reason] == [reason]
    assert deltas[-1].finish_reason == reason


def test_ngrams_of_the_prompt_are_not_repeated_either() -> None:
    logprobs = np.zeros(7)
    make(LETTERS, 4, 5, 4, no_repeat_ngram_size=2).mask(logprobs)
    assert logprobs.tolist() == [0, 0, 0, 0, 0, -math.inf, 0]


@pytest.mark.parametrize("n", [0, 1, 2, 3, 5])
def test_masked_tokens_are_those_of_the_constraint(n: int) -> None:
    numbers, masked = random.Random(n), Counter[int]()
    for _ in range(20):
        tokens = [numbers.randrange(7) for _ in range(numbers.randrange(12))]
        sequence = make(LETTERS, *tokens, no_repeat_ngram_size=n)
        for _ in range(20):
            expected, found = np.zeros((1, 1, 7)), np.zeros(7)
            NoRepeatNgram(n).mask(expected, np.array([[tokens]], dtype=np.int64))
            sequence.mask(found)
            if np.isfinite(expected).any():
                assert found.tolist() == expected[0, 0].tolist()
            else:
                assert found.tolist() == [0.0] * 7
            masked[int(np.isinf(found).sum())] += 1
            tokens.append(numbers.choice([4, 5, 6]))
            append(sequence, tokens[-1])
    assert (set(masked) == {0}) == (n == 0)


def test_the_mask_yields_where_nothing_else_is_allowed() -> None:
    sequence = make(LETTERS, 4, 5, no_repeat_ngram_size=1)
    logprobs = np.array([*[-math.inf] * 4, -1.0, -2.0, -math.inf])
    sequence.mask(logprobs)
    assert logprobs.tolist() == [*[-math.inf] * 4, -1.0, -2.0, -math.inf]
    logprobs[6] = -3.0
    sequence.mask(logprobs)
    assert logprobs.tolist() == [*[-math.inf] * 6, -3.0]
