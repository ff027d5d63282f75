"""Texts that join and leave a batch are those that are written alone."""

import random
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from model.text import continuous_batch
from model.text.generation import Generation
from model.text.language_model import LanguageModel
from model.text.ngram_model import count
from model.text.stop_strings import TextDelta
from tests.tiny import VERSE, WORDS, tiny_language_model

WRITERS = {
    "lstm": lambda: tiny_language_model(layers=2),
    "mut1": lambda: tiny_language_model(cell="mut1", embedding_size=6, ends=True),
    "words": lambda: tiny_language_model(text=" ".join(WORDS), level="word", ends=True),
    "ngram": lambda: count(VERSE, 3),
}


def begun(language_model: LanguageModel, number: int) -> Generation:
    """One of many requests, each asked for in a way of its own."""
    ways = [
        {"temperature": 0.0},
        {"temperature": 0.8, "top_k": 5},
        {"temperature": 1.2, "top_p": 0.8},
        {"temperature": 0.9, "no_repeat_ngram_size": 3},
    ]
    sampling = language_model.sampling(**ways[number % 4], max_tokens=5 + 7 * number % 30)
    prompt = "How I wonder"[: number % 8]
    stop = ("e",) if number % 5 == 0 else ()
    return language_model.start(
        prompt, sampling, n=1 + number % 3, seed=number, stop=stop, top=number % 2, together=True
    )


def assert_same(pieces: list[TextDelta], expected: list[TextDelta]) -> None:
    """The same texts, but for the last digits of their log-probabilities."""
    pieces, expected = (sorted(some, key=lambda piece: piece.index) for some in (pieces, expected))
    for one, other in zip(pieces, expected, strict=True):
        assert replace(one, logprob=None, top=None) == replace(other, logprob=None, top=None)
        assert one.logprob == pytest.approx(other.logprob, abs=1e-5)
        assert (one.top is None) == (other.top is None)
        for (name, value), (other_name, expected_value) in zip(
            one.top or (), other.top or (), strict=True
        ):
            assert name == other_name
            assert value == pytest.approx(expected_value, abs=1e-5)


def deltas(writing: Generation) -> list[TextDelta]:
    pieces = []
    while not writing.ended:
        writing.go_on()
        pieces += writing.take()
    return pieces


@pytest.mark.parametrize("kind", WRITERS)
def test_texts_that_come_and_go_are_those_written_alone(kind):
    language_model = WRITERS[kind]()
    alone = [deltas(begun(language_model, number)) for number in range(12)]
    chance, waiting, written = random.Random(0), list(range(12)), {}
    going: dict[int, Generation] = {}
    found: Counter[int] = Counter()
    while waiting or going:
        if waiting and chance.random() < 0.3:
            number = waiting.pop(0)
            going[number], written[number] = begun(language_model, number), []
        for number in chance.sample(sorted(going), k=min(len(going), 2)):
            if not going[number].waits:
                going[number].go_on()
            found[len(going)] += 1
        for number in list(going):
            written[number] += going[number].take()
            if going[number].ended:
                del going[number]
    assert max(found) > 4  # else they were hardly together
    for number, expected in enumerate(alone):
        assert_same(written[number], expected)


def rows_of(language_model: LanguageModel) -> list[int]:
    """Note how many rows each step has."""
    rows, step = [], language_model.runner.step

    def noting(tokens, state):
        rows.append(len(tokens))
        return step(tokens, state)

    language_model.runner.step = noting
    return rows


def test_a_step_is_one_for_all():
    language_model = tiny_language_model()
    rows = rows_of(language_model)
    several = [
        language_model.start("", language_model.sampling(max_tokens=10), seed=i, together=True)
        for i in range(5)
    ]
    for writing in several:
        writing.go_on()  # reads nothing, and joins
    while not several[0].ended:
        several[0].go_on()
    assert all(writing.ended and len(writing.take()) == 11 for writing in several)
    assert rows == [5] * 10


def test_alone_is_alone():
    language_model = tiny_language_model()
    rows = rows_of(language_model)
    one, other = (
        language_model.start("", language_model.sampling(max_tokens=10), seed=i) for i in range(2)
    )
    deltas(one)
    assert not other.waits
    assert rows == [1] * 10


def test_who_leaves_is_written_no_more():
    language_model = tiny_language_model()
    rows = rows_of(language_model)
    one, other = (
        language_model.start("", language_model.sampling(max_tokens=10), seed=i, together=True)
        for i in range(2)
    )
    for _ in range(4):
        one.go_on()
        other.go_on()
    other.close()
    deltas(one)
    assert rows[-1] == 1
    assert not other.ended


def test_who_never_reads_is_not_written_far_ahead(monkeypatch):
    monkeypatch.setattr(continuous_batch, "_AHEAD", 20)
    language_model = tiny_language_model()
    expected = deltas(language_model.start("", language_model.sampling(max_tokens=100), seed=1))
    reading, silent = (
        language_model.start("", language_model.sampling(max_tokens=100), seed=i, together=True)
        for i in range(2)
    )
    reading.go_on()
    silent.go_on()
    deltas(reading)
    pieces = silent.take()
    assert len(pieces) == 20
    assert_same(pieces + deltas(silent), expected)


def test_time_is_shared_by_rows(monkeypatch):
    clock = iter(range(1000))
    monkeypatch.setattr(continuous_batch.time, "perf_counter", lambda: next(clock))
    language_model = tiny_language_model()
    one, three = (
        language_model.start("", language_model.sampling(max_tokens=8), seed=i, n=n, together=True)
        for i, n in enumerate((1, 3))
    )
    one.go_on()
    three.go_on()
    before = np.array([one.seconds, three.seconds])
    for _ in range(8):
        one.go_on()
    assert (np.array([one.seconds, three.seconds]) - before).tolist() == [2, 6]


def test_an_error_of_the_network_leaves_the_others_where_they_were():
    language_model = tiny_language_model()
    expected = deltas(language_model.start("How", language_model.sampling(), seed=3))
    one, other = (
        language_model.start("How", language_model.sampling(), seed=i, together=True)
        for i in (3, 4)
    )
    for writing in (one, other, one, other):
        writing.go_on()
    pieces, step = one.take(), language_model.runner.step

    def fail(*_: object) -> None:
        raise RuntimeError("no memory")

    language_model.runner.step = fail
    with pytest.raises(RuntimeError, match="no memory"):
        other.go_on()
    other.close()
    language_model.runner.step = step
    assert_same(pieces + deltas(one), expected)
