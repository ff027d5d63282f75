"""Beam search against exhaustive enumeration on toy models, and each of its options alone.

Every search here is made twice, with PyTorch's arrays and with NumPy's.
"""

import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from model.decoding import beam_search
from model.decoding.beam_search import Hypothesis, StepFunction

START, END = 0, 1


def search(step: StepFunction, state: tuple[Tensor, ...], **options) -> list[list[Hypothesis]]:
    """Search with PyTorch and with NumPy; of equals, they may take others."""

    def step_of_numpy(tokens, state):
        logprobs, state = step(torch.from_numpy(tokens), tuple(map(torch.tensor, state)))
        return logprobs.numpy(), tuple(part.numpy() for part in state)

    found = beam_search.search(step, state, **options)
    by_numpy = [
        beam_search.search(step_of_numpy, tuple(part.numpy() for part in state), **options)
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
    return search(model.step, model.start(), start_token=START, end_token=END, **options)


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


def test_beam_one_is_greedy():
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
def test_a_batch_gives_what_each_member_gives_alone(beam_size):
    model = Markov(vocabulary=7, seed=1, batch=5)
    together = run(model, beam_size=beam_size, num_results=beam_size, max_length=6)
    for member in range(5):
        alone = Markov(vocabulary=7, seed=1, batch=5)
        alone.logprobs = alone.logprobs[member : member + 1]
        assert run(alone, beam_size=beam_size, num_results=beam_size, max_length=6) == [
            together[member]
        ]


@pytest.mark.parametrize("beam_size", [2, 4])
@pytest.mark.parametrize("num_settled", [1, 2])
def test_of_results_that_are_not_settled_a_batch_gives_the_same_too(beam_size, num_settled):
    options = {
        "beam_size": beam_size,
        "num_results": beam_size,
        "num_settled": num_settled,
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
def test_settled_results_are_those_of_a_whole_search_and_are_found_sooner(seed):
    steps = [0, 0]
    found = []
    for which, num_settled in enumerate((None, 1)):
        model = Markov(vocabulary=5, seed=seed)

        def step(tokens, state, model=model, which=which):
            steps[which] += 1
            return model.step(tokens, state)

        options = {"beam_size": 4, "num_results": 4, "max_length": 12}
        (one,) = search(
            step,
            model.start(),
            start_token=START,
            end_token=END,
            num_settled=num_settled,
            **options,
        )
        found.append(one)
    assert found[1][0] == found[0][0]
    assert all(one.finished for one in found[1])
    assert steps[1] <= steps[0]


def test_a_beam_larger_than_the_vocabulary():
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
    (found,) = run(model, beam_size=3, max_length=1, min_length=1)
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
    options = {"start_token": 0, "end_token": 1, "beam_size": 4, "num_results": 4, "max_length": 4}
    first = search(step, (torch.zeros(3),), **options)
    assert first[0] == first[1] == first[2]
    assert search(step, (torch.zeros(1),), **options)[0] == first[0]
    # Every sequence of n tokens has the probability 4 ** -n: the best are the shortest.
    assert first[0][0].tokens == (1,)
    assert [len(h.tokens) for h in first[0]] == [1, 2, 2, 2]
    assert len({h.tokens for h in first[0]}) == 4


def test_an_early_end_is_kept_while_the_beam_goes_on():
    # Ending at once has 0.4; going on promises more at first and pays less in the end.
    step = fixed({0: {1: 0.4, 2: 0.6}, 2: {3: 1.0}, 3: {1: 0.5, 2: 0.5}}, 4)
    (found,) = search(step, (torch.zeros(1),), start_token=0, end_token=1, beam_size=1)
    assert found[0].tokens == (1,)
    (longer,) = search(
        step,
        (torch.zeros(1),),
        start_token=0,
        end_token=1,
        beam_size=1,
        length_penalty=1.0,
        max_length=3,
    )
    assert longer[0].tokens == (2, 3, 1)


def test_without_an_end_the_best_unfinished_sequence_comes_back():
    step = fixed({0: {2: 0.3, 3: 0.7}, 2: {2: 1.0}, 3: {3: 0.5, 2: 0.5}}, 4)
    (found,) = search(
        step,
        (torch.zeros(1),),
        start_token=0,
        end_token=1,
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
        start_token=0,
        end_token=1,
        beam_size=2,
        num_results=2,
        max_length=3,
    )
    assert [(h.tokens, h.finished) for h in found] == [((1,), True), ((2, 2, 2), False)]


def test_no_more_results_than_there_are():
    step = fixed({0: {2: 1.0}, 2: {1: 1.0}}, 3)
    (found,) = search(
        step, (torch.zeros(1),), start_token=0, end_token=1, beam_size=5, num_results=5
    )
    assert [h.tokens for h in found] == [(2, 1)]


def test_forbidden_tokens_never_come_and_change_no_probability():
    model = Markov(vocabulary=5, seed=4)
    (found,) = run(model, beam_size=5, num_results=5, max_length=4, forbidden=(START, 3))
    assert found
    for hypothesis in found:
        assert not {START, 3} & set(hypothesis.tokens)
        assert hypothesis.logprob == pytest.approx(model.logprob(hypothesis.tokens), abs=1e-5)


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("seed", range(5))
def test_no_ngram_comes_twice(n, seed):
    model = Markov(vocabulary=4, seed=seed)
    best, _ = enumerate_all(model, max_length=6)
    (found,) = run(model, beam_size=400, max_length=6, no_repeat_ngram_size=n)

    def repeats(words: tuple[int, ...]) -> bool:
        grams = [words[i : i + n] for i in range(len(words) - n + 1)]
        return len(set(grams)) < len(grams)

    allowed = [s for s in best if not repeats(s[:-1])]
    assert found[0].tokens == allowed[0]


def test_a_loop_is_broken():
    step = fixed({0: {2: 1.0}, 2: {3: 0.9, 1: 0.1}, 3: {2: 1.0}}, 4)
    options = {"start_token": 0, "end_token": 1, "length_penalty": 2.0, "max_length": 9}
    (free,) = search(step, (torch.zeros(1),), **options)
    (blocked,) = search(step, (torch.zeros(1),), no_repeat_ngram_size=2, **options)
    assert free[0].tokens[:4] == (2, 3, 2, 3)
    assert blocked[0].tokens == (2, 3, 2, 1)


def test_an_echo_is_broken():
    step = fixed({0: {2: 1.0}, 2: {3: 0.9, 1: 0.1}, 3: {2: 0.8, 4: 0.2}, 4: {1: 1.0}}, 5)
    options = {"start_token": 0, "end_token": 1, "max_length": 4}
    wide = {"beam_size": 5, "num_results": 5, **options}
    (free,) = search(step, (torch.zeros(1),), **wide)
    (kept,) = search(step, (torch.zeros(1),), no_echo_words=(3,), **wide)
    assert (2, 3, 2, 1) in {h.tokens for h in free}
    assert (2, 3, 2, 1) not in {h.tokens for h in kept}


@pytest.mark.parametrize("seed", range(8))
def test_nothing_stands_on_both_sides_of_a_joint(seed):
    joint = 2
    model = Markov(vocabulary=5, seed=seed)
    best, _ = enumerate_all(model, max_length=7)

    def echoes(words: tuple[int, ...]) -> bool:
        return any(
            word == joint and words[i - n : i] == words[i + 1 : i + 1 + n]
            for i, word in enumerate(words)
            for n in range(1, min(i, len(words) - i - 1) + 1)
        )

    (found,) = run(model, beam_size=1000, num_results=20, max_length=7, no_echo_words=(joint,))
    assert [h.tokens for h in found] == [s for s in best if not echoes(s[:-1])][:20]
    for hypothesis in found:
        assert hypothesis.logprob == pytest.approx(model.logprob(hypothesis.tokens), abs=1e-5)


def test_min_length_puts_the_end_off():
    model = Markov(vocabulary=4, seed=0)
    best, _ = enumerate_all(model, max_length=4, min_length=2)
    (found,) = run(model, beam_size=81, max_length=4, min_length=2)
    assert found[0].tokens == best[0]


def test_an_empty_batch_gives_nothing():
    model = Markov(vocabulary=4, seed=0, batch=0)
    assert run(model, beam_size=3) == []


@pytest.mark.parametrize(
    "options",
    [
        {"num_results": 4, "beam_size": 3},
        {"num_results": 0},
        {"num_settled": 2},
        {"num_settled": 0},
        {"max_length": 0},
    ],
)
def test_numbers_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match="must be"):
        run(Markov(vocabulary=4, seed=0), **options)


@pytest.mark.parametrize("seed", range(5))
def test_looking_seldom_changes_nothing(seed, monkeypatch):
    """On a device a search may go on for a few steps after it is over."""
    model = Markov(vocabulary=6, seed=seed, batch=4)
    options = {"beam_size": 3, "num_results": 3, "num_settled": 1, "max_length": 10}
    often = run(model, **options)
    monkeypatch.setattr(beam_search, "device", lambda _: torch.device("cpu:0"))
    assert (
        beam_search.search(model.step, model.start(), start_token=START, end_token=END, **options)
        == often
    )
