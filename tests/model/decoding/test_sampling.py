"""Drawing against slow references: what is cut off, what comes how often, what never again."""

import math
import random
from collections.abc import Iterable
from itertools import islice

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from model.config import SamplingConfig
from model.decoding.sampling import NoRepeatNgram, Sampler, chance, filter_top_k_top_p

Floats = NDArray[np.floating]


def normalised(logits: Floats) -> Floats:
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def distribution(size: int, seed: int, *rows: int) -> Floats:
    return normalised(np.random.default_rng(seed).normal(size=(*rows, size)) * 2)


def sampler(seeds: Iterable[int], **options: float) -> Sampler:
    chances = [chance(seed) for seed in seeds]
    way = SamplingConfig(**({"temperature": 1.0} | options))  # type: ignore[arg-type]
    return Sampler([way] * len(chances), chances)


def slowly(logprobs: Floats, temperature: float, top_k: int, top_p: float) -> list[float]:
    """Probabilities as the definitions of temperature, top-k and nucleus sampling say."""
    weights = [math.exp(x / temperature) for x in logprobs.tolist()]
    kept = sorted(range(len(weights)), key=lambda i: (-weights[i], i))
    if top_k:
        kept = kept[:top_k]
    total, nucleus = sum(weights[i] for i in kept), []
    for i in kept:
        nucleus.append(i)
        if sum(weights[j] for j in nucleus) / total >= top_p:
            break
    total = sum(weights[i] for i in nucleus)
    return [weights[i] / total if i in nucleus else 0.0 for i in range(len(weights))]


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
@pytest.mark.parametrize("top_k", [0, 1, 3, 9, 50])
@pytest.mark.parametrize("top_p", [1e-9, 0.3, 0.9, 0.999, 1.0])
def test_narrowing_against_the_definitions(temperature, top_k, top_p):
    logprobs = distribution(9, 0, 20)
    narrowed = filter_top_k_top_p(logprobs, temperature, top_k, top_p)
    for row, expected in zip(narrowed, logprobs, strict=True):
        assert np.exp(row).tolist() == pytest.approx(
            slowly(expected, temperature, top_k, top_p), abs=1e-12
        )


def test_of_equals_at_the_edge_the_smaller_ids_stay():
    ties = np.log([0.1, 0.3, 0.1, 0.3, 0.1, 0.1])
    assert (filter_top_k_top_p(ties, 1.0, top_k=3) > -math.inf).tolist() == [
        True,
        True,
        False,
        True,
        False,
        False,
    ]
    assert (filter_top_k_top_p(ties, 1.0, top_p=0.75) > -math.inf).tolist() == [
        *(True, True, True, True, False, False)
    ]
    many = normalised(np.zeros(5000))
    assert (filter_top_k_top_p(many, 1.0, top_k=700) > -math.inf).nonzero()[0].tolist() == [
        *range(700)
    ]
    equal = normalised(np.zeros(16))  # 1/16 has no rounding to hide behind
    assert (filter_top_k_top_p(equal, 1.0, top_p=0.25) > -math.inf).nonzero()[0].tolist() == [
        *range(4)
    ]


def test_a_tiny_top_p_keeps_the_likeliest():
    logprobs = distribution(30, 3, 5)
    narrowed = filter_top_k_top_p(logprobs, 1.0, top_p=5e-324)
    assert (narrowed > -math.inf).sum(-1).tolist() == [1] * 5
    assert np.array_equal(narrowed.argmax(-1), logprobs.argmax(-1))
    assert narrowed.max(-1).tolist() == [0.0] * 5


def test_what_is_forbidden_stays_so():
    logprobs = distribution(6, 0)
    logprobs[[0, 4]] = -math.inf
    for options in ({}, {"top_k": 5}, {"top_p": 0.999999}, {"top_k": 6, "top_p": 1.0}):
        narrowed = filter_top_k_top_p(logprobs, 0.7, **options)
        assert np.isneginf(narrowed[[0, 4]]).all()
        assert np.exp(narrowed).sum() == pytest.approx(1)


@pytest.mark.parametrize("temperature", [5e-324, 1e-300, 1e-3])
def test_next_to_no_temperature_is_greedy(temperature):
    logprobs = distribution(12, 1, 4).astype(np.float32)
    drawn = sampler(range(4), temperature=temperature).draw(logprobs)
    assert np.array_equal(drawn, logprobs.argmax(-1))


def test_no_temperature_takes_the_likeliest_and_of_equals_the_first():
    logprobs = distribution(12, 1, 4)
    drawn = sampler(range(4), temperature=0).draw(logprobs)
    assert np.array_equal(drawn, logprobs.argmax(-1))
    equal = np.array([[-math.inf, -1.0, -2.0, -1.0, -1.0]] * 2)
    assert sampler([5, 6], temperature=0.0).draw(equal).tolist() == [1, 1]


def test_a_great_temperature_makes_all_alike():
    narrowed = filter_top_k_top_p(distribution(5, 0), 1e9)
    assert np.exp(narrowed).tolist() == pytest.approx([0.2] * 5, abs=1e-6)


@pytest.mark.parametrize(("number", "token"), [(0.0, 1), (1 - 2**-53, 4)])
def test_the_smallest_and_the_largest_number_draw_no_forbidden_token(monkeypatch, number, token):
    monkeypatch.setattr(
        torch, "rand", lambda *_, **options: torch.full((1,), number, dtype=options["dtype"])
    )
    logprobs = np.array([[-math.inf, -1.0, -2.0, -math.inf, -1.5, -math.inf]] * 3)
    for options in ({}, {"top_p": 0.999}, {"temperature": 0.3}):
        assert sampler(range(3), **options).draw(logprobs).tolist() == [token] * 3


def chi_square(drawn: NDArray[np.int64], probabilities: Floats) -> float:
    counts, possible = np.bincount(drawn, minlength=len(probabilities)), probabilities > 0
    assert counts[~possible].sum() == 0
    expected = probabilities[possible] * len(drawn)
    return float(((counts[possible] - expected) ** 2 / expected).sum())


@pytest.mark.parametrize(
    "options", [{}, {"temperature": 0.5}, {"temperature": 1.5, "top_k": 4}, {"top_p": 0.8}], ids=str
)
def test_tokens_come_as_often_as_they_are_likely(options):
    logprobs = distribution(6, 7)
    probabilities = np.exp(filter_top_k_top_p(logprobs, **({"temperature": 1.0} | options)))
    # 5 degrees of freedom: above 25.7 once in 10,000 times.
    one = sampler([1], **options)
    assert (
        chi_square(np.concatenate([one.draw(logprobs[None]) for _ in range(3000)]), probabilities)
        < 25.7
    )
    many = sampler(range(3000), **options)
    assert chi_square(many.draw(np.tile(logprobs, (3000, 1))), probabilities) < 25.7


def test_each_text_is_drawn_by_a_chance_of_its_own():
    steps = [distribution(20, seed, 4) for seed in range(30)]
    together = sampler([3, 4, 5, 6])
    drawn = np.stack([together.draw(logprobs) for logprobs in steps])
    for i in range(4):
        alone = sampler([3 + i])
        assert [int(alone.draw(logprobs[i : i + 1])[0]) for logprobs in steps] == drawn[
            :, i
        ].tolist()
    assert len({tuple(column) for column in drawn.T.tolist()}) == 4


def test_each_text_is_drawn_in_a_way_of_its_own():
    ways = [
        SamplingConfig(temperature=0),
        SamplingConfig(temperature=0.4),
        SamplingConfig(temperature=1.5, top_k=3),
        SamplingConfig(temperature=1.0, top_p=0.6),
        SamplingConfig(temperature=0.7, top_k=5, top_p=0.9),
    ]
    steps = [distribution(20, seed, len(ways)) for seed in range(50)]
    together = Sampler(ways, [chance(i) for i in range(len(ways))])
    drawn = np.stack([together.draw(logprobs) for logprobs in steps])
    for i, way in enumerate(ways):
        alone = Sampler([way], [chance(i)])
        own = [int(alone.draw(logprobs[i : i + 1])[0]) for logprobs in steps]
        assert own == drawn[:, i].tolist()


def test_a_seed_has_the_numbers_of_pytorchs_generator():
    expected = torch.rand(64, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    numbers = list(islice(chance(7), 200))
    assert numbers[:64] == expected.tolist()
    assert len(set(numbers)) == 200
    assert list(islice(chance(7), 200)) == numbers


def test_drawing_leaves_what_it_is_given_and_the_worlds_chance_alone():
    logprobs = distribution(6, 0, 2)
    before, state = logprobs.copy(), torch.get_rng_state()
    sampler([0, 1], temperature=0.5, top_k=2, top_p=0.5).draw(logprobs)
    assert np.array_equal(logprobs, before)
    assert torch.equal(torch.get_rng_state(), state)


def repeats(tokens: list[int], n: int) -> bool:
    grams = [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]
    return len(set(grams)) < len(grams)


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_no_ngram_comes_twice(n):
    chance = random.Random(n)
    for _ in range(100):
        tokens = [chance.randrange(4) for _ in range(chance.randrange(n + 1))]
        if repeats(tokens, n):
            continue
        guard = NoRepeatNgram(n, tokens)
        for _ in range(40):
            logprobs = np.full(4, -math.log(4))
            guard.forbid(logprobs)
            possible = [t for t in range(4) if not repeats([*tokens, t], n)]
            if not possible:
                assert np.isfinite(logprobs).all()  # it yields
                break
            assert np.isfinite(logprobs).nonzero()[0].tolist() == possible
            token = chance.choice(possible)
            tokens.append(token)
            guard.add(token)


def test_the_guard_yields_to_what_others_forbid():
    guard = NoRepeatNgram(1, [2, 3])
    logprobs = np.array([-math.inf, -math.inf, -1.0, -2.0])
    guard.forbid(logprobs)
    assert logprobs.tolist() == [-math.inf, -math.inf, -1.0, -2.0]
    logprobs[1] = -3.0
    guard.forbid(logprobs)
    assert logprobs.tolist() == [-math.inf, -3.0, -math.inf, -math.inf]


def test_no_length_forbids_nothing():
    guard = NoRepeatNgram(0, [1, 1, 1])
    guard.add(1)
    logprobs = np.array([-1.0, -1.0])
    guard.forbid(logprobs)
    assert logprobs.tolist() == [-1.0, -1.0]
