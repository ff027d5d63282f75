"""Beam search against exhaustive enumeration on toy models, with each option and constraint.

Every search runs with PyTorch's arrays and with NumPy's.
"""

import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor

from model.decoding import beam_search
from model.decoding.constraints import ForbiddenTokens, MinLength, NoEcho, NoRepeatNgram
from model.decoding.hypothesis import DecodingCancelled, Hypothesis, StepFunction
from model.decoding.results import read_traced, trace_back

START, END = 0, 1


def decoding(**options: float) -> SimpleNamespace:
    """A `DecodingConfig`, but without bounds: enumeration takes wider beams."""
    defaults = {"beam_size": 3, "num_captions": 1, "max_length": 20, "length_penalty": 0.0}
    return SimpleNamespace(**defaults | options)


def search(
    step: StepFunction,
    state: tuple[Tensor, ...],
    *,
    constraints=(),
    num_results: int | None = None,
    **options,
) -> list[list[Hypothesis]]:
    """Search with PyTorch and with NumPy; of equally good sequences, they may find different ones.

    Args:
        num_results: as `num_captions` if that is not given, else as in `beam_search.search`.
        options: of `DecodingConfig`.
    """
    if num_results is not None:
        options = {"num_captions": num_results} | options
    given = {
        "start_token": START,
        "end_token": END,
        "constraints": constraints,
        "num_results": num_results,
    }

    def step_of_numpy(tokens, state):
        logprobs, state = step(torch.from_numpy(tokens), tuple(map(torch.tensor, state)))
        return logprobs.numpy(), tuple(part.numpy() for part in state)

    config = decoding(**options)
    found = beam_search.search(step, state, config, **given)
    if len(state[0]):
        arrays = trace_back(beam_search.search_steps(step, state, config, **given), END)
        assert [[one.hypothesis for one in best] for best in read_traced(arrays)] == found
    by_numpy = [
        beam_search.search(step_of_numpy, tuple(part.numpy() for part in state), config, **given)
        for _ in range(2)
    ]
    assert by_numpy[0] == by_numpy[1]
    for one, other in zip(found, by_numpy[0], strict=True):
        assert [h.finished for h in one] == [h.finished for h in other]
        logprobs = np.array([h.logprob for h in one])
        assert logprobs == pytest.approx(np.array([h.logprob for h in other]), abs=1e-5)
    return found


class Markov:
    """A toy model: the next token depends on the last two, through the state."""

    def __init__(self, vocabulary: int, seed: int, batch: int = 1) -> None:
        generator = torch.Generator().manual_seed(seed)
        shape = (batch, vocabulary, vocabulary, vocabulary)
        self.logprobs = (torch.randn(shape, generator=generator) * 2).log_softmax(-1)

    def start(self) -> tuple[Tensor, ...]:
        return (torch.full((len(self.logprobs),), START),)

    def step(self, tokens: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        (before,) = state  # (batch, beam): the token before the last
        member = torch.arange(len(tokens))[:, None].expand_as(tokens)
        return self.logprobs[member, before, tokens], (tokens,)

    def logprob(self, sequence: tuple[int, ...], member: int = 0) -> float:
        before, last, total = START, START, 0.0
        for token in sequence:
            total += float(self.logprobs[member, before, last, token])
            before, last = last, token
        return total


def enumerate_all(model: Markov, max_length: int, *, min_length: int = 0, penalty: float = 0.0):
    """All finished sequences, best first, and all unfinished ones of the greatest length."""
    others = [t for t in range(model.logprobs.shape[1]) if t != END]
    finished = [
        (*words, END)
        for length in range(min_length, max_length)
        for words in itertools.product(others, repeat=length)
    ]
    unfinished = list(itertools.product(others, repeat=max_length))

    def rank(sequence: tuple[int, ...]) -> float:
        return -model.logprob(sequence) / len(sequence) ** penalty

    return sorted(finished, key=rank), sorted(unfinished, key=rank)


def run(model: Markov, **options) -> list[list[Hypothesis]]:
    return search(model.step, model.start(), **options)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("penalty", [0.0, 0.7, 1.0, 2.0])
def test_a_wide_beam_finds_what_enumeration_finds(seed, penalty):
    model = Markov(vocabulary=4, seed=seed)
    best, _ = enumerate_all(model, max_length=4, penalty=penalty)
    (found,) = run(model, beam_size=81, num_results=20, max_length=4, length_penalty=penalty)
    assert [h.tokens for h in found] == best[:20]
    for hypothesis in found:
        assert hypothesis.finished
        assert hypothesis.logprob == pytest.approx(model.logprob(hypothesis.tokens), abs=1e-5)


@pytest.mark.parametrize("seed", range(10))
def test_a_narrow_beam_never_claims_more_than_the_truth(seed):
    model = Markov(vocabulary=6, seed=seed)
    best, _ = enumerate_all(model, max_length=4)
    (found,) = run(model, beam_size=2, num_results=2, max_length=4)
    for hypothesis in found:
        assert hypothesis.logprob == pytest.approx(model.logprob(hypothesis.tokens), abs=1e-5)
        assert hypothesis.logprob <= model.logprob(best[0]) + 1e-5


def test_a_beam_of_one_is_never_worse_than_greedy():
    model = Markov(vocabulary=5, seed=3)
    greedy, state = [START], model.start()[0][:, None]
    while len(greedy) < 8 and greedy[-1] != END:
        logprobs, (state,) = model.step(torch.tensor([[greedy[-1]]]), (state,))
        greedy.append(int(logprobs.argmax()))
    (found,) = run(model, beam_size=1, max_length=7)
    # Greedy ends where the end token is likeliest; so does a beam of one, unless it found a
    # likelier ending on the way: its result is never worse.
    assert found[0].logprob >= model.logprob(tuple(greedy[1:])) - 1e-5


@pytest.mark.parametrize("beam_size", [1, 3, 10])
def test_a_batch_gives_each_member_what_it_gets_alone(beam_size):
    model = Markov(vocabulary=7, seed=1, batch=5)
    together = run(model, beam_size=beam_size, num_results=beam_size, max_length=6)
    for member in range(5):
        alone = Markov(vocabulary=7, seed=1, batch=5)
        alone.logprobs = alone.logprobs[member : member + 1]
        assert run(alone, beam_size=beam_size, num_results=beam_size, max_length=6) == [
            together[member]
        ]


@pytest.mark.parametrize("beam_size", [2, 4])
@pytest.mark.parametrize("num_captions", [1, 2])
def test_results_beyond_num_captions_are_the_same_in_a_batch(beam_size, num_captions):
    options = {
        "beam_size": beam_size,
        "num_results": beam_size,
        "num_captions": num_captions,
        "max_length": 8,
        "length_penalty": 0.7,
    }
    model = Markov(vocabulary=6, seed=2, batch=9)
    together = run(model, **options)
    for member in range(9):
        alone = Markov(vocabulary=6, seed=2, batch=9)
        alone.logprobs = alone.logprobs[member : member + 1]
        assert run(alone, **options) == [together[member]]


@pytest.mark.parametrize("seed", range(8))
def test_fewer_captions_are_the_best_of_a_whole_search_and_take_no_more_steps(seed):
    steps = [0, 0]
    found = []
    for which, num_captions in enumerate((4, 1)):
        model = Markov(vocabulary=5, seed=seed)

        def step(tokens, state, model=model, which=which):
            steps[which] += 1
            return model.step(tokens, state)

        options = {"beam_size": 4, "num_results": 4, "max_length": 12}
        found += search(step, model.start(), num_captions=num_captions, **options)
    assert found[1][0] == found[0][0]
    assert all(hypothesis.finished for hypothesis in found[1])
    assert steps[1] <= steps[0]


def test_a_beam_may_be_larger_than_the_vocabulary():
    model = Markov(vocabulary=3, seed=0)
    best, unfinished = enumerate_all(model, max_length=2)
    (found,) = run(model, beam_size=10, num_results=10, max_length=2)
    assert [h.tokens for h in found] == best + unfinished
    assert [h.finished for h in found] == [True] * len(best) + [False] * len(unfinished)


def test_max_length_one_is_the_end_or_one_unfinished_token():
    model = Markov(vocabulary=5, seed=2)
    (found,) = run(model, beam_size=5, num_results=5, max_length=1)
    assert (found[0].tokens, found[0].finished) == ((END,), True)
    assert all(len(h.tokens) == 1 and not h.finished for h in found[1:])
    assert len({h.tokens for h in found}) == 5
    (found,) = run(model, beam_size=3, max_length=1, constraints=[MinLength(1, END)])
    assert not found[0].finished
    assert found[0].tokens[0] != END


def fixed(rows: dict[int, dict[int, float]], vocabulary: int) -> StepFunction:
    """A model given by probabilities: last token -> next token -> probability."""
    table = torch.full((vocabulary, vocabulary), -math.inf)
    for last, row in rows.items():
        for token, probability in row.items():
            table[last, token] = math.log(probability)
    return lambda tokens, state: (table[tokens], state)


def test_ties_are_broken_the_same_way_every_time():
    step = fixed({t: dict.fromkeys(range(1, 5), 0.25) for t in range(5)}, 5)
    options = {"beam_size": 4, "num_results": 4, "max_length": 4}
    first = search(step, (torch.zeros(3),), **options)
    assert first[0] == first[1] == first[2]
    assert search(step, (torch.zeros(1),), **options)[0] == first[0]
    # Every sequence of n tokens has the probability 4 ** -n: the best are the shortest.
    assert first[0][0].tokens == (1,)
    assert [len(h.tokens) for h in first[0]] == [1, 2, 2, 2]
    assert len({h.tokens for h in first[0]}) == 4


def test_an_early_end_is_kept_while_the_beam_continues():
    # Ending at once has 0.4; continuing looks better at first and is worse in the end.
    step = fixed({0: {1: 0.4, 2: 0.6}, 2: {3: 1.0}, 3: {1: 0.5, 2: 0.5}}, 4)
    (found,) = search(step, (torch.zeros(1),), beam_size=1)
    assert found[0].tokens == (1,)
    (longer,) = search(
        step,
        (torch.zeros(1),),
        beam_size=1,
        length_penalty=1.0,
        max_length=3,
    )
    assert longer[0].tokens == (2, 3, 1)


def test_without_an_end_the_best_unfinished_sequence_is_returned():
    step = fixed({0: {2: 0.3, 3: 0.7}, 2: {2: 1.0}, 3: {3: 0.5, 2: 0.5}}, 4)
    (found,) = search(
        step,
        (torch.zeros(1),),
        beam_size=4,
        num_results=2,
        max_length=3,
    )
    assert found[0].tokens in {(3, 2, 2), (3, 3, 2), (3, 3, 3), (2, 2, 2)}
    assert found[0].logprob == pytest.approx(math.log(0.35))
    assert not any(h.finished for h in found)


def test_finished_sequences_come_before_likelier_unfinished_ones():
    step = fixed({0: {1: 0.01, 2: 0.99}, 2: {2: 1.0}}, 3)
    (found,) = search(
        step,
        (torch.zeros(1),),
        beam_size=2,
        num_results=2,
        max_length=3,
    )
    assert [(h.tokens, h.finished) for h in found] == [((1,), True), ((2, 2, 2), False)]


def test_there_are_no_more_results_than_sequences():
    step = fixed({0: {2: 1.0}, 2: {1: 1.0}}, 3)
    (found,) = search(step, (torch.zeros(1),), beam_size=5, num_results=5)
    assert [h.tokens for h in found] == [(2, 1)]


def test_forbidden_tokens_never_come_and_change_no_probability():
    model = Markov(vocabulary=5, seed=4)
    (found,) = run(
        model, beam_size=5, num_results=5, max_length=4, constraints=[ForbiddenTokens((START, 3))]
    )
    assert found
    for hypothesis in found:
        assert not {START, 3} & set(hypothesis.tokens)
        assert hypothesis.logprob == pytest.approx(model.logprob(hypothesis.tokens), abs=1e-5)


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("seed", range(5))
def test_no_ngram_comes_twice(n, seed):
    model = Markov(vocabulary=4, seed=seed)
    best, _ = enumerate_all(model, max_length=6)
    (found,) = run(model, beam_size=400, max_length=6, constraints=[NoRepeatNgram(n)])

    def repeats(words: tuple[int, ...]) -> bool:
        grams = [words[i : i + n] for i in range(len(words) - n + 1)]
        return len(set(grams)) < len(grams)

    allowed = [s for s in best if not repeats(s[:-1])]
    assert found[0].tokens == allowed[0]


def test_a_loop_is_broken():
    step = fixed({0: {2: 1.0}, 2: {3: 0.9, 1: 0.1}, 3: {2: 1.0}}, 4)
    options = {"length_penalty": 2.0, "max_length": 9}
    (free,) = search(step, (torch.zeros(1),), **options)
    (blocked,) = search(step, (torch.zeros(1),), constraints=[NoRepeatNgram(2)], **options)
    assert free[0].tokens[:4] == (2, 3, 2, 3)
    assert blocked[0].tokens == (2, 3, 2, 1)


def test_an_echo_is_prevented():
    step = fixed({0: {2: 1.0}, 2: {3: 0.9, 1: 0.1}, 3: {2: 0.8, 4: 0.2}, 4: {1: 1.0}}, 5)
    options = {"beam_size": 5, "num_results": 5, "max_length": 4}
    (free,) = search(step, (torch.zeros(1),), **options)
    (kept,) = search(step, (torch.zeros(1),), constraints=[NoEcho((3,))], **options)
    assert (2, 3, 2, 1) in {h.tokens for h in free}
    assert (2, 3, 2, 1) not in {h.tokens for h in kept}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_the_same_tokens_never_stand_on_both_sides_of_a_word(seed):
    middle = 2
    model = Markov(vocabulary=5, seed=seed)
    best, _ = enumerate_all(model, max_length=7)

    def echoes(words: tuple[int, ...]) -> bool:
        return any(
            word == middle and words[i - n : i] == words[i + 1 : i + 1 + n]
            for i, word in enumerate(words)
            for n in range(1, min(i, len(words) - i - 1) + 1)
        )

    (found,) = run(
        model, beam_size=1000, num_results=20, max_length=7, constraints=[NoEcho((middle,))]
    )
    assert [h.tokens for h in found] == [s for s in best if not echoes(s[:-1])][:20]
    for hypothesis in found:
        assert hypothesis.logprob == pytest.approx(model.logprob(hypothesis.tokens), abs=1e-5)


def test_min_length_delays_the_end():
    model = Markov(vocabulary=4, seed=0)
    best, _ = enumerate_all(model, max_length=4, min_length=2)
    (found,) = run(model, beam_size=81, max_length=4, constraints=[MinLength(2, END)])
    assert found[0].tokens == best[0]


def test_an_empty_batch_has_no_results():
    model = Markov(vocabulary=4, seed=0, batch=0)
    assert run(model, beam_size=3) == []


@pytest.mark.parametrize("seed", range(5))
def test_constraints_hold_together(seed):
    model = Markov(vocabulary=6, seed=seed)
    best, _ = enumerate_all(model, max_length=5, min_length=2)

    def allowed(words: tuple[int, ...]) -> bool:
        bigrams = list(itertools.pairwise(words))
        echoes = any(
            a == c and b == 3 for a, b, c in zip(words, words[1:], words[2:], strict=False)
        )
        return not echoes and START not in words and len(set(bigrams)) == len(bigrams)

    constraints = [ForbiddenTokens([START]), MinLength(2, END), NoRepeatNgram(2), NoEcho([3])]
    (found,) = run(model, beam_size=700, num_results=20, max_length=5, constraints=constraints)
    assert [h.tokens for h in found] == [s for s in best if allowed(s[:-1])][:20]


def test_a_search_stops_when_it_is_cancelled():
    model, steps = Markov(vocabulary=4, seed=0), []

    def step(tokens, state):
        steps.append(None)
        return model.step(tokens, state)

    with pytest.raises(DecodingCancelled):
        beam_search.search(
            step,
            model.start(),
            decoding(max_length=9),
            start_token=START,
            end_token=END,
            constraints=[ForbiddenTokens([END])],
            cancelled=lambda: len(steps) == 2,
        )
    assert len(steps) == 2


@pytest.mark.parametrize("seed", range(5))
def test_steps_after_the_search_is_over_change_nothing(seed, monkeypatch):
    """On another device a search may continue for a few steps after it is over."""
    model = Markov(vocabulary=6, seed=seed, batch=4)
    options = {"beam_size": 3, "num_captions": 1, "max_length": 10}
    expected = run(model, num_results=3, **options)
    monkeypatch.setattr(beam_search, "device", lambda _: torch.device("cpu:0"))
    found = beam_search.search(
        model.step,
        model.start(),
        decoding(**options),
        start_token=START,
        end_token=END,
        num_results=3,
    )
    assert found == expected
