"""Sampling against slow references: what is cut off, and how often each token comes."""

import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import islice

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from model.config import DecodingConfig, SamplingConfig
from model.decoding.constraints import (
    Constraint,
    ForbiddenTokens,
    MinLength,
    NoEcho,
    NoRepeatNgram,
)
from model.decoding.hypothesis import DecodingCancelled, Hypothesis
from model.decoding.sampling import TokenSampler, filter_top_k_top_p, random_numbers, sample
from tests.model.decoding.test_beam_search import END, START, Markov

Floats = NDArray[np.floating]


def normalised(logits: Floats) -> Floats:
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def distribution(size: int, seed: int, *rows: int) -> Floats:
    return normalised(np.random.default_rng(seed).normal(size=(*rows, size)) * 2)


def sampler(seeds: Iterable[int], **options: float) -> TokenSampler:
    numbers = [random_numbers(seed) for seed in seeds]
    method = SamplingConfig(**({"temperature": 1.0} | options))  # type: ignore[arg-type]
    return TokenSampler([method] * len(numbers), numbers)


def filter_by_definition(
    logprobs: Floats, temperature: float, top_k: int, top_p: float
) -> list[float]:
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
def test_filtering_follows_the_definitions(temperature, top_k, top_p):
    logprobs = distribution(9, 0, 20)
    filtered = filter_top_k_top_p(logprobs, temperature, top_k, top_p)
    for row, expected in zip(filtered, logprobs, strict=True):
        assert np.exp(row).tolist() == pytest.approx(
            filter_by_definition(expected, temperature, top_k, top_p), abs=1e-12
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
    filtered = filter_top_k_top_p(logprobs, 1.0, top_p=5e-324)
    assert (filtered > -math.inf).sum(-1).tolist() == [1] * 5
    assert np.array_equal(filtered.argmax(-1), logprobs.argmax(-1))
    assert filtered.max(-1).tolist() == [0.0] * 5


def test_forbidden_tokens_stay_forbidden():
    logprobs = distribution(6, 0)
    logprobs[[0, 4]] = -math.inf
    for options in ({}, {"top_k": 5}, {"top_p": 0.999999}, {"top_k": 6, "top_p": 1.0}):
        filtered = filter_top_k_top_p(logprobs, 0.7, **options)
        assert np.isneginf(filtered[[0, 4]]).all()
        assert np.exp(filtered).sum() == pytest.approx(1)


@pytest.mark.parametrize("temperature", [5e-324, 1e-300, 1e-3])
def test_a_tiny_temperature_is_greedy(temperature):
    logprobs = distribution(12, 1, 4).astype(np.float32)
    drawn = sampler(range(4), temperature=temperature).draw(logprobs)
    assert np.array_equal(drawn, logprobs.argmax(-1))


def test_temperature_0_takes_the_likeliest_token_and_of_equals_the_first():
    logprobs = distribution(12, 1, 4)
    drawn = sampler(range(4), temperature=0).draw(logprobs)
    assert np.array_equal(drawn, logprobs.argmax(-1))
    equal = np.array([[-math.inf, -1.0, -2.0, -1.0, -1.0]] * 2)
    assert sampler([5, 6], temperature=0.0).draw(equal).tolist() == [1, 1]


def test_a_great_temperature_makes_all_tokens_equally_likely():
    filtered = filter_top_k_top_p(distribution(5, 0), 1e9)
    assert np.exp(filtered).tolist() == pytest.approx([0.2] * 5, abs=1e-6)


@pytest.mark.parametrize(("number", "token"), [(0.0, 1), (1 - 2**-53, 4)])
def test_the_smallest_and_the_largest_number_draw_no_forbidden_token(number, token):
    logprobs = np.array([[-math.inf, -1.0, -2.0, -math.inf, -1.5, -math.inf]] * 3)
    for options in ({}, {"top_p": 0.999}, {"temperature": 0.3}):
        method = SamplingConfig(**({"temperature": 1.0} | options))
        drawn = TokenSampler([method] * 3, [itertools.repeat(number)] * 3).draw(logprobs)
        assert drawn.tolist() == [token] * 3


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


def test_each_sequence_is_drawn_with_its_own_numbers():
    steps = [distribution(20, seed, 4) for seed in range(30)]
    together = sampler([3, 4, 5, 6])
    drawn = np.stack([together.draw(logprobs) for logprobs in steps])
    for i in range(4):
        alone = sampler([3 + i])
        assert [int(alone.draw(logprobs[i : i + 1])[0]) for logprobs in steps] == drawn[
            :, i
        ].tolist()
    assert len({tuple(column) for column in drawn.T.tolist()}) == 4


def test_each_sequence_is_drawn_with_its_own_method():
    methods = [
        SamplingConfig(temperature=0),
        SamplingConfig(temperature=0.4),
        SamplingConfig(temperature=1.5, top_k=3),
        SamplingConfig(temperature=1.0, top_p=0.6),
        SamplingConfig(temperature=0.7, top_k=5, top_p=0.9),
    ]
    steps = [distribution(20, seed, len(methods)) for seed in range(50)]
    together = TokenSampler(methods, [random_numbers(i) for i in range(len(methods))])
    drawn = np.stack([together.draw(logprobs) for logprobs in steps])
    for i, method in enumerate(methods):
        alone = TokenSampler([method], [random_numbers(i)])
        tokens = [int(alone.draw(logprobs[i : i + 1])[0]) for logprobs in steps]
        assert tokens == drawn[:, i].tolist()


@pytest.mark.parametrize("seed", [0, 7, 2**32 - 1, 2**32 + 7, 2**63 - 1])
def test_a_seed_gives_the_numbers_of_pytorchs_generator(seed):
    generator = torch.Generator().manual_seed(seed)
    expected = [torch.rand(64, generator=generator, dtype=torch.float64) for _ in range(4)]
    numbers = list(islice(random_numbers(seed), 256))
    assert numbers == torch.cat(expected).tolist()
    assert len(set(numbers)) == 256
    assert list(islice(random_numbers(seed), 256)) == numbers


def test_drawing_changes_neither_its_input_nor_global_random_states():
    logprobs = distribution(6, 0, 2)
    before, state = logprobs.copy(), torch.get_rng_state()
    numpy_state = np.random.get_state()[1].tolist()
    sampler([0, 1], temperature=0.5, top_k=2, top_p=0.5).draw(logprobs)
    assert np.array_equal(logprobs, before)
    assert torch.equal(torch.get_rng_state(), state)
    assert np.random.get_state()[1].tolist() == numpy_state


# Whole sequences


def draw(
    model: Markov, constraints: Sequence[Constraint] = (), **options: float
) -> list[list[Hypothesis]]:
    """Draw from a toy model, with PyTorch and with NumPy."""
    decoding = DecodingConfig(**({"temperature": 1.0, "seed": 1, "max_length": 6} | options))  # type: ignore[arg-type]
    given = {"start_token": START, "end_token": END, "constraints": constraints}

    def step_of_numpy(tokens, state):
        logprobs, state = model.step(torch.from_numpy(tokens), tuple(map(torch.tensor, state)))
        return logprobs.numpy(), tuple(part.numpy() for part in state)

    found = sample(model.step, model.start(), decoding, **given)
    state = tuple(part.numpy() for part in model.start())
    assert sample(step_of_numpy, state, decoding, **given) == found
    return found


def test_each_sequence_has_the_models_logprob_whatever_the_options():
    model = Markov(vocabulary=6, seed=0, batch=3)
    for options in ({}, {"temperature": 0.4}, {"top_k": 2}, {"top_p": 0.5, "temperature": 3.0}):
        for member, drawn in enumerate(draw(model, num_captions=5, **options)):
            assert len(drawn) == 5
            for hypothesis in drawn:
                expected = model.logprob(hypothesis.tokens, member)
                assert hypothesis.logprob == pytest.approx(expected, abs=1e-5)
                assert hypothesis.finished == (hypothesis.tokens[-1] == END)
                assert END not in hypothesis.tokens[:-1]
                assert len(hypothesis.logprobs) == len(hypothesis.tokens)


def test_the_same_seed_draws_the_same_sequences():
    model = Markov(vocabulary=8, seed=2)
    assert draw(model, num_captions=4) == draw(model, num_captions=4)
    assert draw(model, num_captions=4, seed=99) != draw(model, num_captions=4)


def test_sequence_i_is_drawn_with_seed_plus_i():
    model = Markov(vocabulary=8, seed=2)
    (together,) = draw(model, num_captions=5, seed=10)
    assert together == [draw(model, seed=10 + i)[0][0] for i in range(5)]
    assert len({hypothesis.tokens for hypothesis in together}) > 1


def test_a_batch_draws_for_each_member_what_it_gets_alone():
    model = Markov(vocabulary=7, seed=1, batch=5)
    together = draw(model, num_captions=3, seed=4)
    for member in range(5):
        alone = Markov(vocabulary=7, seed=1, batch=5)
        alone.logprobs = alone.logprobs[member : member + 1]
        assert draw(alone, num_captions=3, seed=4) == [together[member]]


def test_no_members_have_no_sequences():
    assert draw(Markov(vocabulary=4, seed=0, batch=0)) == []


@pytest.mark.parametrize("seed", range(5))
def test_temperature_0_is_greedy_decoding(seed):
    model = Markov(vocabulary=6, seed=seed)
    greedy, before = [START], START
    while len(greedy) < 7 and greedy[-1] != END:
        greedy, before = [*greedy, int(model.logprobs[0, before, greedy[-1]].argmax())], greedy[-1]
    (drawn,) = draw(model, num_captions=3, temperature=0.0)
    assert [hypothesis.tokens for hypothesis in drawn] == [tuple(greedy[1:])] * 3


def test_sequences_come_as_often_as_they_are_likely():
    model = Markov(vocabulary=3, seed=5)
    others = [START, 2]
    possible = [
        *((*words, END) for n in range(3) for words in itertools.product(others, repeat=n)),
        *itertools.product(others, repeat=3),
    ]
    probabilities = np.exp([model.logprob(sequence) for sequence in possible])
    assert probabilities.sum() == pytest.approx(1, abs=1e-5)
    counts = Counter(
        hypothesis.tokens
        for seed in range(0, 3000, 10)
        for hypothesis in draw(model, num_captions=10, max_length=3, seed=seed)[0]
    )
    drawn = np.repeat(np.arange(len(possible)), [counts[sequence] for sequence in possible])
    assert len(drawn) == 3000
    # 14 degrees of freedom: above 42.6 once in 10,000 times.
    assert len(possible) == 15
    assert chi_square(drawn, probabilities / probabilities.sum()) < 42.6


def test_a_sequence_that_reaches_max_length_is_unfinished():
    model = Markov(vocabulary=6, seed=0)
    (drawn,) = draw(model, [ForbiddenTokens([END])], num_captions=4, max_length=5)
    assert [(len(one.tokens), one.finished) for one in drawn] == [(5, False)] * 4


CONSTRAINTS: list[tuple[Constraint, Callable[[tuple[int, ...]], bool]]] = [
    (ForbiddenTokens([0, 3]), {0, 3}.isdisjoint),
    (MinLength(3, END), lambda words: len(words) >= 3),
    (NoRepeatNgram(1), lambda words: len(set(words)) == len(words)),
    (
        NoRepeatNgram(2),
        lambda words: len(set(itertools.pairwise(words))) == len(words[1:]),
    ),
    (
        NoEcho([2], longest=1),
        lambda words: (
            not any(b == 2 and a == c for a, b, c in zip(words, words[1:], words[2:], strict=False))
        ),
    ),
]


@pytest.mark.parametrize(("constraint", "holds"), CONSTRAINTS)
def test_constraints_hold_and_change_no_logprob(constraint, holds):
    model = Markov(vocabulary=5, seed=3)
    model.logprobs[..., END] -= 2  # longer sequences
    options = {"num_captions": 10, "max_length": 9, "temperature": 1.5}
    free = [one.tokens[:-1] for seed in range(5) for one in draw(model, seed=seed, **options)[0]]
    assert not all(map(holds, free))  # else this proves nothing
    for seed in range(5):
        for hypothesis in draw(model, [constraint], seed=seed, **options)[0]:
            words = hypothesis.tokens[:-1] if hypothesis.finished else hypothesis.tokens
            assert holds(words)
            assert hypothesis.logprob == pytest.approx(model.logprob(hypothesis.tokens), abs=1e-5)


def test_a_sequence_ends_where_no_token_is_allowed():
    model = Markov(vocabulary=4, seed=0)
    constraints = [NoRepeatNgram(1), MinLength(9, END)]
    (drawn,) = draw(model, constraints, num_captions=4, max_length=9)
    for hypothesis in drawn:
        assert sorted(hypothesis.tokens[:-1]) == [0, 2, 3]
        assert hypothesis.finished
        assert hypothesis.logprob == pytest.approx(model.logprob(hypothesis.tokens), abs=1e-5)


def test_more_sequences_than_the_beam_size_may_be_drawn():
    (drawn,) = draw(Markov(vocabulary=6, seed=0), num_captions=10, beam_size=2)
    assert len(drawn) == 10


def test_drawing_stops_when_all_sequences_have_ended():
    model, steps = Markov(vocabulary=4, seed=0), []
    model.logprobs[..., END] += 50

    def step(tokens, state):
        steps.append(None)
        return model.step(tokens, state)

    decoding = DecodingConfig(temperature=1.0, max_length=30, num_captions=3)
    sample(step, model.start(), decoding, start_token=START, end_token=END)
    assert len(steps) == 1


def test_drawing_stops_when_it_is_cancelled():
    model, answers = Markov(vocabulary=4, seed=0), iter([False, False, True])
    with pytest.raises(DecodingCancelled):
        sample(
            model.step,
            model.start(),
            DecodingConfig(temperature=1.0),
            start_token=START,
            end_token=END,
            constraints=[ForbiddenTokens([END])],
            cancelled=lambda: next(answers),
        )
    assert next(answers, None) is None
