"""Texts that join and leave a batch are the same as those generated alone."""

import random
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from model.text import continuous_batch
from model.text.deltas import TextDelta
from model.text.generation import Generation
from model.text.language_model import LanguageModel
from model.text.ngram_model import count
from model.text.request import GenerationRequest
from tests.tiny import VERSE, WORDS, tiny_language_model

MODELS = {
    "lstm": lambda: tiny_language_model(layers=2),
    "mut1": lambda: tiny_language_model(cell="mut1", embedding_size=6, ends=True),
    "words": lambda: tiny_language_model(text=" ".join(WORDS), level="word", ends=True),
    "ngram": lambda: count(VERSE, 3),
}


def start(
    language_model: LanguageModel,
    prompt: str = "",
    *,
    n: int = 1,
    seed: int = 0,
    shared: bool = True,
    **options: float,
) -> Generation:
    sampling = language_model.config.sampling.merge(**options)
    return language_model.start(GenerationRequest(prompt, sampling, n, seed), shared=shared)


def start_numbered(language_model: LanguageModel, number: int) -> Generation:
    """Start one of many requests, each with other options."""
    methods = [
        {"temperature": 0.0},
        {"temperature": 0.8, "top_k": 5},
        {"temperature": 1.2, "top_p": 0.8},
        {"temperature": 0.9, "no_repeat_ngram_size": 3},
    ]
    request = GenerationRequest(
        "How I wonder"[: number % 8],
        language_model.config.sampling.merge(**methods[number % 4], max_tokens=5 + 7 * number % 30),
        n=1 + number % 3,
        seed=number,
        stop=("e",) if number % 5 == 0 else (),
        top_logprobs=number % 2,
    )
    return language_model.start(request, shared=True)


def assert_same(found_deltas: list[TextDelta], expected: list[TextDelta]) -> None:
    """The same texts, but for the last digits of their log-probabilities."""
    found_deltas, expected = (
        sorted(some, key=lambda delta: delta.index) for some in (found_deltas, expected)
    )
    for one, other in zip(found_deltas, expected, strict=True):
        assert replace(one, logprob=None, top=None) == replace(other, logprob=None, top=None)
        assert one.logprob == pytest.approx(other.logprob, abs=1e-5)
        assert (one.top is None) == (other.top is None)
        for (name, value), (other_name, expected_value) in zip(
            one.top or (), other.top or (), strict=True
        ):
            assert name == other_name
            assert value == pytest.approx(expected_value, abs=1e-5)


def deltas(generation: Generation) -> list[TextDelta]:
    found_deltas = []
    while not generation.finished:
        generation.advance()
        found_deltas += generation.take()
    return found_deltas


@pytest.mark.parametrize("kind", MODELS)
def test_texts_that_join_and_leave_are_those_generated_alone(kind):
    language_model = MODELS[kind]()
    alone = [deltas(start_numbered(language_model, number)) for number in range(12)]
    numbers, waiting, received = random.Random(0), list(range(12)), {}
    running: dict[int, Generation] = {}
    found: Counter[int] = Counter()
    while waiting or running:
        if waiting and numbers.random() < 0.3:
            number = waiting.pop(0)
            running[number], received[number] = start_numbered(language_model, number), []
        for number in numbers.sample(sorted(running), k=min(len(running), 2)):
            if not running[number].has_deltas:
                running[number].advance()
            found[len(running)] += 1
        for number in list(running):
            received[number] += running[number].take()
            if running[number].finished:
                del running[number]
    assert max(found) > 4  # else they were hardly together
    for number, expected in enumerate(alone):
        assert_same(received[number], expected)


def rows_of(language_model: LanguageModel) -> list[int]:
    """Record how many rows each step has."""
    rows, step = [], language_model.runner.step

    def count_rows(tokens, state):
        rows.append(len(tokens))
        return step(tokens, state)

    language_model.runner.step = count_rows
    return rows


def test_all_texts_share_a_step():
    language_model = tiny_language_model()
    rows = rows_of(language_model)
    several = [start(language_model, seed=i, max_tokens=10) for i in range(5)]
    for generation in several:
        generation.advance()  # joins: there is no prompt to read
    while not several[0].finished:
        several[0].advance()
    assert all(generation.finished and len(generation.take()) == 11 for generation in several)
    assert rows == [5] * 10


def test_a_request_that_is_not_shared_has_its_own_steps():
    language_model = tiny_language_model()
    rows = rows_of(language_model)
    one, other = (start(language_model, seed=i, shared=False, max_tokens=10) for i in range(2))
    deltas(one)
    assert not other.has_deltas
    assert rows == [1] * 10


def test_a_closed_generation_is_not_continued():
    language_model = tiny_language_model()
    rows = rows_of(language_model)
    one, other = (start(language_model, seed=i, max_tokens=10) for i in range(2))
    for _ in range(4):
        one.advance()
        other.advance()
    other.close()
    deltas(one)
    assert rows[-1] == 1
    assert not other.finished


def test_a_text_that_nobody_reads_is_not_generated_far_ahead(monkeypatch):
    monkeypatch.setattr(continuous_batch, "_MOST_BUFFERED", 20)
    language_model = tiny_language_model()
    expected = deltas(start(language_model, seed=1, shared=False, max_tokens=100))
    reader, silent = (start(language_model, seed=i, max_tokens=100) for i in range(2))
    reader.advance()
    silent.advance()
    deltas(reader)
    found_deltas = silent.take()
    assert len(found_deltas) == 20
    assert_same(found_deltas + deltas(silent), expected)


def test_time_is_shared_by_rows(monkeypatch):
    clock = iter(range(1000))
    monkeypatch.setattr(continuous_batch.time, "perf_counter", lambda: next(clock))
    language_model = tiny_language_model()
    one, three = (start(language_model, seed=i, n=n, max_tokens=8) for i, n in enumerate((1, 3)))
    one.advance()
    three.advance()
    before = np.array([one.seconds, three.seconds])
    for _ in range(8):
        one.advance()
    assert (np.array([one.seconds, three.seconds]) - before).tolist() == [2, 6]


def test_other_texts_continue_after_an_error_of_the_network():
    language_model = tiny_language_model()
    expected = deltas(start(language_model, "How", seed=3, shared=False))
    one, other = (start(language_model, "How", seed=i) for i in (3, 4))
    for generation in (one, other, one, other):
        generation.advance()
    found_deltas, step = one.take(), language_model.runner.step

    def fail(*_: object) -> None:
        raise RuntimeError("no memory")

    language_model.runner.step = fail
    with pytest.raises(RuntimeError, match="no memory"):
        other.advance()
    other.close()
    language_model.runner.step = step
    assert_same(found_deltas + deltas(one), expected)


def test_a_closed_iterator_of_deltas_ends():
    generation = start(tiny_language_model(), seed=1, max_tokens=100)
    stream = generation.deltas()
    next(stream)
    generation.close()
    assert list(stream) == []
    assert not generation.finished
