"""Drawing against slow references: what is cut off, what comes how often, what never again."""

import math
import random

import pytest
import torch
from torch import Tensor

from model.sampling import RepetitionGuard, Sampler, narrow


def distribution(size: int, seed: int, *rows: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(*rows, size, generator=generator, dtype=torch.double) * 2
    return logits.log_softmax(-1)


def slowly(logprobs: Tensor, temperature: float, top_k: int, top_p: float) -> list[float]:
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
    narrowed = narrow(logprobs, temperature, top_k, top_p)
    for row, expected in zip(narrowed, logprobs, strict=True):
        assert row.exp().tolist() == pytest.approx(
            slowly(expected, temperature, top_k, top_p), abs=1e-12
        )


def test_of_equals_at_the_edge_the_smaller_ids_stay():
    ties = torch.tensor([0.1, 0.3, 0.1, 0.3, 0.1, 0.1]).log()
    assert (narrow(ties, 1.0, top_k=3) > -math.inf).tolist() == [
        True,
        True,
        False,
        True,
        False,
        False,
    ]
    assert (narrow(ties, 1.0, top_p=0.75) > -math.inf).tolist() == [
        *(True, True, True, True, False, False)
    ]
    many = torch.zeros(5000).log_softmax(-1)
    assert (narrow(many, 1.0, top_k=700) > -math.inf).nonzero()[:, 0].tolist() == [*range(700)]
    equal = torch.zeros(16).log_softmax(-1)  # 1/16 has no rounding to hide behind
    assert (narrow(equal, 1.0, top_p=0.25) > -math.inf).nonzero()[:, 0].tolist() == [*range(4)]


def test_a_tiny_top_p_keeps_the_likeliest():
    logprobs = distribution(30, 3, 5)
    narrowed = narrow(logprobs, 1.0, top_p=5e-324)
    assert (narrowed > -math.inf).sum(-1).tolist() == [1] * 5
    assert torch.equal(narrowed.argmax(-1), logprobs.argmax(-1))
    assert narrowed.max(-1).values.tolist() == [0.0] * 5


def test_what_is_forbidden_stays_so():
    logprobs = distribution(6, 0)
    logprobs[[0, 4]] = -math.inf
    for options in ({}, {"top_k": 5}, {"top_p": 0.999999}, {"top_k": 6, "top_p": 1.0}):
        narrowed = narrow(logprobs, 0.7, **options)
        assert torch.isneginf(narrowed[[0, 4]]).all()
        assert narrowed.exp().sum() == pytest.approx(1)


@pytest.mark.parametrize("temperature", [5e-324, 1e-300, 1e-3])
def test_next_to_no_temperature_is_greedy(temperature):
    logprobs = distribution(12, 1, 4).float()
    drawn = Sampler(range(4), temperature=temperature).draw(logprobs)
    assert torch.equal(drawn, logprobs.argmax(-1))


def test_no_temperature_takes_the_likeliest_and_of_equals_the_first():
    logprobs = distribution(12, 1, 4)
    assert torch.equal(Sampler(range(4), temperature=0).draw(logprobs), logprobs.argmax(-1))
    equal = torch.tensor([[-math.inf, -1.0, -2.0, -1.0, -1.0]] * 2)
    assert Sampler([5, 6], temperature=0.0).draw(equal).tolist() == [1, 1]


def test_a_great_temperature_makes_all_alike():
    narrowed = narrow(distribution(5, 0), 1e9)
    assert narrowed.exp().tolist() == pytest.approx([0.2] * 5, abs=1e-6)


@pytest.mark.parametrize(("number", "token"), [(0.0, 1), (1 - 2**-53, 4)])
def test_the_smallest_and_the_largest_number_draw_no_forbidden_token(monkeypatch, number, token):
    monkeypatch.setattr(
        torch, "rand", lambda *_, **options: torch.full((1,), number, dtype=options["dtype"])
    )
    logprobs = torch.tensor([-math.inf, -1.0, -2.0, -math.inf, -1.5, -math.inf]).expand(3, -1)
    for options in ({}, {"top_p": 0.999}, {"temperature": 0.3}):
        assert Sampler(range(3), **options).draw(logprobs).tolist() == [token] * 3


def chi_square(drawn: Tensor, probabilities: Tensor) -> float:
    expected = probabilities * len(drawn)
    counts = torch.bincount(drawn, minlength=len(probabilities))
    assert counts[probabilities == 0].sum() == 0
    return float((((counts - expected) ** 2) / expected)[probabilities > 0].sum())


@pytest.mark.parametrize(
    "options", [{}, {"temperature": 0.5}, {"temperature": 1.5, "top_k": 4}, {"top_p": 0.8}], ids=str
)
def test_tokens_come_as_often_as_they_are_likely(options):
    logprobs = distribution(6, 7)
    probabilities = narrow(logprobs, **({"temperature": 1.0} | options)).exp()
    # 5 degrees of freedom: above 25.7 once in 10,000 times.
    one = Sampler([1], **options)
    assert (
        chi_square(torch.cat([one.draw(logprobs[None]) for _ in range(3000)]), probabilities) < 25.7
    )
    many = Sampler(range(3000), **options)
    assert chi_square(many.draw(logprobs.expand(3000, -1)), probabilities) < 25.7


def test_each_text_is_drawn_by_a_chance_of_its_own():
    steps = [distribution(20, seed, 4) for seed in range(30)]
    together = Sampler([3, 4, 5, 6])
    drawn = torch.stack([together.draw(logprobs) for logprobs in steps])
    for i in range(4):
        alone = Sampler([3 + i])
        assert [int(alone.draw(logprobs[i : i + 1])) for logprobs in steps] == drawn[:, i].tolist()
    assert len({tuple(column) for column in drawn.T.tolist()}) == 4


def test_drawing_leaves_what_it_is_given_and_the_worlds_chance_alone():
    logprobs = distribution(6, 0, 2)
    before, state = logprobs.clone(), torch.get_rng_state()
    Sampler([0, 1], temperature=0.5, top_k=2, top_p=0.5).draw(logprobs)
    assert torch.equal(logprobs, before)
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
        guard = RepetitionGuard(n, tokens)
        for _ in range(40):
            logprobs = torch.full((4,), -math.log(4))
            guard.forbid(logprobs)
            possible = [t for t in range(4) if not repeats([*tokens, t], n)]
            if not possible:
                assert torch.isfinite(logprobs).all()  # it yields
                break
            assert torch.isfinite(logprobs).nonzero()[:, 0].tolist() == possible
            token = chance.choice(possible)
            tokens.append(token)
            guard.add(token)


def test_the_guard_yields_to_what_others_forbid():
    guard = RepetitionGuard(1, [2, 3])
    logprobs = torch.tensor([-math.inf, -math.inf, -1.0, -2.0])
    guard.forbid(logprobs)
    assert logprobs.tolist() == [-math.inf, -math.inf, -1.0, -2.0]
    logprobs[1] = -3.0
    guard.forbid(logprobs)
    assert logprobs.tolist() == [-math.inf, -3.0, -math.inf, -math.inf]


def test_no_length_forbids_nothing():
    guard = RepetitionGuard(0, [1, 1, 1])
    guard.add(1)
    logprobs = torch.tensor([-1.0, -1.0])
    guard.forbid(logprobs)
    assert logprobs.tolist() == [-1.0, -1.0]
