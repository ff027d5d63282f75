"""The n-gram model against a slow, obvious one made of dictionaries."""

import math
from collections import Counter, defaultdict

import numpy as np
import pytest

from model.config import DecodingConfig
from model.decoding.beam_search import search
from model.text.ngram import MAX_ORDER, NGram

VERSE = """Tyger Tyger, burning bright,
In the forests of the night;
What immortal hand or eye,
Could frame thy fearful symmetry?

In what distant deeps or skies,
Burnt the fire of thine eyes?
On what wings dare he aspire?
What the hand, dare sieze the fire?

And what shoulder, & what art,
Could twist the sinews of thy heart?
And when thy heart began to beat,
What dread hand? & what dread feet?

Tyger Tyger, burning bright,
In the forests of the night:
What immortal hand or eye,
Dare frame thy fearful symmetry?
"""


class Obvious:
    """Interpolated modified Kneser-Ney as it is written down, one n-gram at a time."""

    def __init__(self, text, vocabulary_size: int, order: int) -> None:
        text = tuple(int(token) for token in text)
        self.vocabulary_size = vocabulary_size
        self.order = order
        self.followers = {}  # n -> context -> token -> count
        self.discounts = {}  # n -> count -> discount
        for n in range(1, order + 1):
            occurrences, before = Counter(), defaultdict(set)
            for i in range(len(text) - n + 1):
                ngram = text[i : i + n]
                occurrences[ngram] += 1
                before[ngram].add(text[i - 1] if i else "the beginning")
            counts = occurrences if n == order else {g: len(b) for g, b in before.items()}
            self.followers[n] = defaultdict(dict)
            for ngram, count in counts.items():
                self.followers[n][ngram[:-1]][ngram[-1]] = count
            self.discounts[n] = self._estimate(Counter(counts.values()))

    @staticmethod
    def _estimate(n: Counter) -> dict[int, float]:
        fallback = {0: 0, 1: 0.5, 2: 1.0, 3: 1.5}
        if not (n[1] and n[2] and n[3]):
            return fallback
        y = n[1] / (n[1] + 2 * n[2])
        found = {0: 0}
        found[1] = 1 - 2 * y * n[2] / n[1]
        found[2] = 2 - 3 * y * n[3] / n[2]
        found[3] = 3 - 4 * y * n[4] / n[3]
        return found if found[2] > 0 and found[3] > 0 else fallback

    def probability(self, token: int, history) -> float:
        history = tuple(history)[max(0, len(history) - self.order + 1) :]
        return self._of_order(len(history) + 1, token, history)

    def _of_order(self, n: int, token: int, context: tuple[int, ...]) -> float:
        if n == 0:
            return 1 / self.vocabulary_size
        lower = self._of_order(n - 1, token, context[1:])
        followers = self.followers[n].get(context)
        if not followers:
            return lower
        discount = self.discounts[n]
        count, total = followers.get(token, 0), sum(followers.values())
        freed = sum(discount[min(c, 3)] for c in followers.values())
        return (count - discount[min(count, 3)] + freed * lower) / total


def random_text(length: int, vocabulary_size: int, seed: int) -> np.ndarray:
    """Skewed tokens with repeated passages, so that long n-grams come again."""
    rng = np.random.default_rng(seed)
    text = np.minimum(rng.geometric(0.4, length) - 1, vocabulary_size - 1)
    for _ in range(length // 25):
        to, since = rng.integers(0, max(1, length - 12), 2)
        text[to : to + 12] = text[since : since + 12]
    return text


def verse() -> tuple[np.ndarray, int]:
    letters = sorted(set(VERSE))
    return np.array([letters.index(letter) for letter in VERSE]), len(letters)


def obvious_logprobs(model: Obvious, history) -> list[float]:
    return [math.log(model.probability(t, history)) for t in range(model.vocabulary_size)]


@pytest.mark.parametrize("order", range(1, MAX_ORDER + 1))
@pytest.mark.parametrize("vocabulary_size", [2, 5, 300])
def test_every_order_on_random_text(order, vocabulary_size):
    text = random_text(200, min(vocabulary_size, 7), seed=order)
    other = random_text(40, min(vocabulary_size, 9), seed=100 + order)
    ours, slow = (kind(text, vocabulary_size, order) for kind in (NGram.train, Obvious))
    expected = [math.log(slow.probability(t, other[:i])) for i, t in enumerate(other)]
    np.testing.assert_allclose(ours.score(other), expected, rtol=1e-12, atol=1e-14)
    for history in (other[:0], other[:3], other, text[:30], text):
        found = ours.logprobs(history)
        assert found.shape == (vocabulary_size,)
        assert found.dtype == np.float64
        assert np.exp(found).sum() == pytest.approx(1, abs=1e-12)
        np.testing.assert_allclose(found, obvious_logprobs(slow, history), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("order", [1, 2, 3, 6, 20])
def test_every_order_on_a_verse(order):
    text, size = verse()
    train, rest = text[:400], text[400:]
    ours, slow = NGram.train(train, size, order), Obvious(train, size, order)
    expected = [math.log(slow.probability(t, rest[:i])) for i, t in enumerate(rest)]
    np.testing.assert_allclose(ours.score(rest), expected, rtol=1e-12, atol=1e-14)


def test_the_verse_is_large_enough_to_estimate_discounts():
    text, size = verse()
    discounts = NGram.train(text, size, 4).discounts
    assert (discounts[1:, :, 1:] != [0.5, 1.0, 1.5]).all()


@pytest.mark.parametrize("order", [1, 2, 5, 20])
def test_score_equals_logprobs_token_by_token(order):
    text, size = verse()
    model = NGram.train(text[:500], size, order)
    rest = text[380:]  # its beginning was seen, its end was not
    one_by_one = [model.logprobs(rest[:i])[token] for i, token in enumerate(rest)]
    np.testing.assert_allclose(model.score(rest), one_by_one, rtol=1e-12, atol=1e-14)


def test_orders_are_those_of_models_trained_one_by_one():
    text, size = verse()
    train, rest = text[:400], text[400:]
    means = NGram.train(train, size, MAX_ORDER).orders(rest)
    each = [-NGram.train(train, size, n).score(rest).mean() for n in range(1, MAX_ORDER + 1)]
    np.testing.assert_allclose(means, each, rtol=1e-12, atol=1e-14)
    assert means[4] < means[1] < means[0] < math.log(size)


def test_a_distribution_calculated_by_hand():
    model = NGram.train([0, 1, 0, 1, 0, 2], 4, order=2)
    # Too small to estimate discounts. 0 has one token more before it than 1 and 2: the beginning.
    start = np.array([1, 0.5, 0.5, 0]) / 4 + 2 / 4 / 4
    np.testing.assert_allclose(np.exp(model.logprobs([])), start)
    # After 0 came 1 twice and 2 once.
    after_zero = np.array([0, 1, 0.5, 0]) / 3 + 1.5 / 3 * start
    np.testing.assert_allclose(np.exp(model.logprobs([0])), after_zero)


def test_an_unseen_context_falls_back_to_a_shorter_one():
    text, size = verse()
    model = NGram.train(text, size + 2, order=8)
    known = text[100:105]
    never = [size, *known]  # a token that the text has not
    np.testing.assert_array_equal(model.logprobs(never), model.logprobs(known))
    np.testing.assert_array_equal(model.logprobs([size + 1]), model.logprobs([]))
    assert not np.array_equal(model.logprobs(known), model.logprobs(known[1:]))


def test_only_the_last_tokens_are_read():
    text, size = verse()
    model = NGram.train(text, size, order=4)
    np.testing.assert_array_equal(model.logprobs(text[:90]), model.logprobs(text[87:90]))


def test_unseen_tokens_have_a_probability():
    text, size = verse()
    model = NGram.train(text, size + 2, order=MAX_ORDER)
    for history in ([], text[:50], text, [size + 1]):
        logprobs = model.logprobs(history)
        assert np.isfinite(logprobs).all()
        assert logprobs[size] == logprobs[size + 1] == logprobs.min()
    assert np.isfinite(model.score([size, size + 1, 0])).all()


def test_order_1_ignores_the_history():
    model = NGram.train([0, 0, 1, 2, 0], 4, order=1)
    np.testing.assert_array_equal(model.logprobs([2, 1]), model.logprobs([]))
    expected = (np.array([1.5, 0.5, 0.5, 0]) + 2.5 / 4) / 5
    np.testing.assert_allclose(np.exp(model.logprobs([])), expected)


@pytest.mark.parametrize("length", [1, 2, 5, 19, 20, 21])
@pytest.mark.parametrize("pattern", [(0,), (0, 1), (2, 0, 1)])
def test_the_order_may_exceed_the_length_of_the_text(length, pattern):
    text = (pattern * length)[:length]
    ours, slow = NGram.train(text, 4, MAX_ORDER), Obvious(text, 4, MAX_ORDER)
    for history in ((), text, text[:-1], text * 3, (3,)):
        np.testing.assert_allclose(
            ours.logprobs(history), obvious_logprobs(slow, history), rtol=1e-12, atol=1e-14
        )
    expected = [math.log(slow.probability(t, text[:i])) for i, t in enumerate(text)]
    np.testing.assert_allclose(ours.score(text), expected, rtol=1e-12, atol=1e-14)
    assert len(ours.orders(text)) == MAX_ORDER


@pytest.mark.parametrize("order", [1, 3, 20])
def test_an_empty_text_gives_the_uniform_distribution(order):
    model = NGram.train([], 5, order)
    np.testing.assert_allclose(model.logprobs([1, 2]), np.full(5, -math.log(5)))
    np.testing.assert_allclose(model.score([1, 2, 2]), np.full(3, -math.log(5)))
    np.testing.assert_allclose(model.orders([4]), np.full(order, math.log(5)))
    assert model.score([]).shape == (0,)
    assert NGram.train([1, 2], 5, order).score(np.zeros(0, dtype=int)).shape == (0,)


def test_a_vocabulary_may_have_one_token():
    model = NGram.train([0, 0, 0], 1, order=3)
    np.testing.assert_allclose(model.score([0, 0]), 0, atol=1e-15)


def test_a_vocabulary_may_be_large():
    text = random_text(300, 60, seed=1) * 3001  # ids need three bytes
    ours, slow = (kind(text, 200_000, 3) for kind in (NGram.train, Obvious))
    expected = [math.log(slow.probability(t, text[:i])) for i, t in enumerate(text[:50])]
    np.testing.assert_allclose(ours.score(text[:50]), expected, rtol=1e-12, atol=1e-14)
    assert ours.logprobs(text[:9])[text[9]] == pytest.approx(expected[9])


def test_cached_contexts_give_the_same():
    text = random_text(9000, 3, seed=2)
    model, fresh = NGram.train(text, 3, order=3), NGram.train(text, 3, order=3)
    first = model.logprobs([0, 0])
    model.logprobs([1, 0])
    np.testing.assert_array_equal(model.logprobs([0, 0]), first)
    np.testing.assert_array_equal(model.logprobs([1, 0]), fresh.logprobs([1, 0]))


def test_the_same_text_gives_the_same_model():
    text, size = verse()
    one, two = NGram.train(text, size, 12), NGram.train(text.tolist(), size, 12)
    np.testing.assert_array_equal(one.score(text[::-1]), two.score(text[::-1].tolist()))
    np.testing.assert_array_equal(one.logprobs(text[:9]), two.logprobs(text[:9]))


@pytest.mark.parametrize("order", [1, 2, 4, 20])
def test_step_gives_the_logprobs(order):
    text, size = verse()
    model = NGram.train(text, size, order)
    (start,) = model.initial_state(2)
    assert start.shape == (2, order - 1)
    state = (np.repeat(start[:, None], 3, axis=1),)
    sequences = text[: 2 * 3 * 25].reshape(2, 3, 25)
    for t in range(25):
        logprobs, state = model.step(sequences[:, :, t], state)
        assert logprobs.shape == (2, 3, size)
        assert logprobs.dtype == np.float32
        assert state[0].shape == (2, 3, order - 1)
        for b in range(2):
            for k in range(3):
                expected = model.logprobs(sequences[b, k, : t + 1]).astype(np.float32)
                np.testing.assert_array_equal(logprobs[b, k], expected)


def test_step_without_a_token_begins_a_text():
    text, size = verse()
    model = NGram.train(text, size, order=5)
    (start,) = model.initial_state(1)
    logprobs, state = model.step(np.array([[-1]]), (start[:, None],))
    np.testing.assert_allclose(logprobs[0, 0], model.logprobs([]), rtol=1e-6)
    logprobs, _ = model.step(np.array([[3]]), state)
    np.testing.assert_allclose(logprobs[0, 0], model.logprobs([3]), rtol=1e-6)


@pytest.mark.parametrize("order", [1, 3, 8])
def test_beam_search_finds_sequences_with_their_scores(order):
    text, size = verse()
    model = NGram.train(text, size, order)
    start, end = text[0], text[VERSE.index("\n")]
    found = search(
        model.step,
        model.initial_state(2),
        DecodingConfig(beam_size=4, max_length=30),
        start_token=int(start),
        end_token=int(end),
    )
    assert found[0] == found[1]
    best = found[0][0]
    scores = model.score([start, *best.tokens])[1:]
    np.testing.assert_allclose(best.logprobs, scores, rtol=1e-5)


@pytest.mark.parametrize(
    ("ids", "vocabulary_size", "order", "message"),
    [
        ([0, 1], 2, 0, r"order must be in 1\.\.20, not 0"),
        ([0, 1], 2, 21, r"order must be in 1\.\.20, not 21"),
        ([0, 1], 0, 2, "vocabulary_size must be at least 1, not 0"),
        ([0, 2], 2, 2, r"ids must be in 0\.\.1, one is 2"),
        ([0, -1], 2, 2, r"ids must be in 0\.\.1, one is -1"),
        ([0.0, 1.0], 2, 2, "ids must be a list of integers, not float64"),
        ([[0, 1]], 2, 2, r"ids must be a list of integers, not int64 \(1, 2\)"),
        (["a"], 2, 2, "ids must be a list of integers"),
    ],
)
def test_bad_arguments_are_refused(ids, vocabulary_size, order, message):
    with pytest.raises(ValueError, match=message):
        NGram.train(ids, vocabulary_size, order)


def test_bad_texts_are_refused():
    model = NGram.train([0, 1], 2, 2)
    for use in (model.logprobs, model.score, model.orders):
        with pytest.raises(ValueError, match=r"ids must be in 0\.\.1, one is 5"):
            use([0, 5])
    with pytest.raises(ValueError, match="an empty text has no mean"):
        model.orders([])
    with pytest.raises(ValueError, match=r"ids must be in 0\.\.1, one is 2"):
        model.step(np.array([[2]]), (model.initial_state(1)[0][:, None],))


class Counted:
    """Counts as they are written down: each token after the longest context that was seen."""

    def __init__(self, texts: list[list[int]], order: int) -> None:
        self.order = order
        self.followers: dict[tuple[int, ...], Counter[int]] = defaultdict(Counter)
        for text in texts:
            for i, token in enumerate(text):
                for n in range(order):
                    if n <= i:
                        self.followers[tuple(text[i - n : i])][token] += 1

    def probability(self, token: int, history: list[int]) -> float:
        context = tuple(history)[max(0, len(history) - self.order + 1) :]
        while not self.followers[context]:
            context = context[1:]
        return self.followers[context][token] / self.followers[context].total()


@pytest.mark.parametrize("order", [1, 2, 3, 8, 20])
def test_without_smoothing_a_token_follows_the_longest_context_that_was_seen(order):
    text, size = verse()
    model = NGram.train(text, size, order, smoothing="none")
    slow = Counted([text.tolist()], order)
    other = np.concatenate([text[50:80], text[20:60], text[:30]])
    expected = [slow.probability(t, other[:i].tolist()) for i, t in enumerate(other)]
    np.testing.assert_allclose(np.exp(model.score(other)), expected, rtol=1e-12)
    assert order == 1 or 0 in expected
    for end in range(0, len(other), 7):
        history = other[:end].tolist()
        expected = [slow.probability(t, history) for t in range(size)]
        np.testing.assert_allclose(np.exp(model.logprobs(history)), expected, rtol=1e-12)


START, END, CAT, SAT, MAT = range(5)


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_several_texts_each_begin_anew(order):
    texts = [[CAT, SAT, END], [CAT, SAT, MAT, END], [MAT, END]]
    ids = [token for text in texts for token in (START, *text)]
    model = NGram.train(ids, 5, order, smoothing="none", start=START)
    slow = Counted([[START, *text] for text in texts], order)
    slow.followers[()].pop(START)
    for history in ([START], [START, CAT], [START, CAT, SAT], [START, MAT]):
        expected = [slow.probability(token, history) for token in range(5)]
        np.testing.assert_allclose(np.exp(model.logprobs(history)), expected, rtol=1e-12)


@pytest.mark.parametrize("order", [2, 3, 5])
def test_texts_begin_as_often_as_they_were_counted_to(order):
    """With smoothing too: after the start a token is as likely as its occurrences there."""
    texts = [[CAT, END]] * 30 + [[MAT, SAT, END]] * 10
    ids = [token for text in texts for token in (START, *text)]
    model = NGram.train(ids, 5, order, start=START)
    found = np.exp(model.logprobs([START]))
    assert found.sum() == pytest.approx(1)
    assert found[CAT] == pytest.approx(0.75, abs=0.05)
    assert found[MAT] == pytest.approx(0.25, abs=0.05)
