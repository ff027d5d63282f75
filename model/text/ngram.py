"""A count-based baseline: n-grams of order 1 to 20, with or without modified Kneser-Ney smoothing.

Tokens are ids. A model reads only the last `order - 1` of them. Its `step` is like that of a
recurrent network, so that the same sampler and beam search work with both.

Character n-grams of a high order write text that looks much like a network's (Goldberg, "The
unreasonable effectiveness of character-level language models (and why RNNs are still cool)",
2015), and up to order 20 they are what Karpathy, Johnson and Fei-Fei, "Visualizing and
understanding recurrent networks", 2015, compare their LSTMs with.

Without smoothing a token is as likely as it was after the longest context that the text has: with h
the last order - 1 tokens, or else as many of them as the text has before some token,

    p(w | h) = c(hw) / sum_v c(hv)

The smoothing is interpolated modified Kneser-Ney (Chen and Goodman, "An empirical study of
smoothing techniques for language modeling", 1999). With h the last k - 1 tokens, h' without the
first of them and p_0 uniform over the vocabulary,

    p_k(w | h) = (c_k(hw) - D_k(c_k(hw))) / C_k(h) + p_{k-1}(w | h') sum_v D_k(c_k(hv)) / C_k(h)
    C_k(h) = sum_v c_k(hv)

At the highest order c_k(hw) says how often hw occurs; at the lower ones, how many distinct tokens
stand before it. Where nothing follows h in the text, p_k is p_{k-1}; a history shorter than
order - 1 is one that no longer context matches. Of each order and way of counting, with n_c the
n-grams counted c times,

    D(0) = 0,  D(c) = c - (c + 1) Y n_{c+1} / n_c  for c = 1, 2, 3 and D(3) beyond
    Y = n_1 / (n_1 + 2 n_2)

Interpolated Witten-Bell smoothing (Witten and Bell 1991: c_k counts occurrences, and h gives the
lower order T / (C_k + T), T its distinct followers) was measured too. On characters it is best at
order 5 or 6 and then overtrusts contexts seen once, while Kneser-Ney stays level or still gains: at
their best orders 1.74 and 1.56 nats a character on Shakespeare, 1.35 and 1.27 on War and Peace,
1.43 and 1.13 on the Linux kernel's source.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from model.text.ngram_counts import OCCURRENCES, PREDECESSORS, Followers, NGramCounts

__all__ = ["MAX_ORDER", "NGram", "Smoothing"]

MAX_ORDER = 20

Smoothing = Literal["none", "kneser-ney"]

Ints = NDArray[np.integer[Any]]
Floats = NDArray[np.float64]

# For texts too small to estimate discounts from: the middle of the possible range.
_FALLBACK = (0.0, 0.5, 1.0, 1.5)

# Contexts with more occurrences are slow to analyse and few, so they are cached.
_FREQUENT = 4096


@dataclass(frozen=True, eq=False)
class NGram:
    """An n-gram model; `NGram.train` makes one.

    counts: of the n-grams of the text.
    discounts: D by order, way of counting and count up to 3, (order, 2, 4); 0 without smoothing.
    smoothing: how counts become probabilities.
    """

    counts: NGramCounts
    vocabulary_size: int
    order: int
    discounts: Floats
    smoothing: Smoothing
    _memory: dict[tuple[int, int, int], tuple[Ints, Floats, Floats]] = field(
        default_factory=dict, init=False, repr=False
    )

    @classmethod
    def train(
        cls,
        ids: Sequence[int] | Ints,
        vocabulary_size: int,
        order: int,
        *,
        smoothing: Smoothing = "kneser-ney",
        start: int | None = None,
    ) -> Self:
        """Count the n-grams of a text.

        Args:
            ids: the text. An empty one gives the uniform distribution.
            vocabulary_size: ids are 0..vocabulary_size - 1, whether the text has them or not.
            order: tokens in the longest n-grams, 1..20.
            smoothing: `kneser-ney`, or `none`.
            start: the token that each of several texts starts with; it is never predicted.

        Raises:
            ValueError: a number is out of its range.
        """
        if not 1 <= order <= MAX_ORDER:
            raise ValueError(f"order must be in 1..{MAX_ORDER}, not {order}")
        if vocabulary_size < 1:
            raise ValueError(f"vocabulary_size must be at least 1, not {vocabulary_size}")
        counts = NGramCounts.of(_checked(ids, vocabulary_size), vocabulary_size, order, start)
        discounts = np.zeros((order, 2, 4))
        if smoothing == "kneser-ney":
            for depth in range(order):
                found = counts.every_ngram(depth + 1)
                discounts[depth] = [_estimate_discounts(each) for each in found.counts]
        return cls(counts, vocabulary_size, order, discounts, smoothing)

    def logprobs(self, history: Sequence[int] | Ints) -> Floats:
        """Return the natural log-probability of every next token, (vocabulary_size,)."""
        context = _checked(history, self.vocabulary_size)
        context = context[max(0, len(context) - self.order + 1) :]
        if self.smoothing == "none":
            return _log(self._after_longest(context))
        probabilities = np.full(self.vocabulary_size, 1 / self.vocabulary_size)
        for depth in range(len(context) + 1):
            low, high = self.counts.find(context[len(context) - depth :])
            if low == high:
                break
            tokens, shares, weight = self._look_into(low, high, depth)
            probabilities *= weight
            probabilities[tokens] += shares
        return _log(probabilities)

    def score(self, ids: Sequence[int] | Ints) -> Floats:
        """Return the natural log-probability of each token of a text given those before it."""
        *_, logprobs = self.scores(ids)
        return logprobs

    def scores(self, ids: Sequence[int] | Ints) -> Iterator[Floats]:
        """Yield what `score` gives for the models of order 1 to order, see `orders`."""
        return map(_log, self._by_order(_checked(ids, self.vocabulary_size)))

    def orders(self, ids: Sequence[int] | Ints) -> Floats:
        """Return the mean nats a token of a text under the models of order 1..order, (order,).

        Each is the model that `train` would make with that order: its highest order counts
        occurrences, and all of them share the lower orders.

        Raises:
            ValueError: the text is empty.
        """
        text = _checked(ids, self.vocabulary_size)
        if not len(text):
            raise ValueError("an empty text has no mean: give at least one token")
        return np.array([-logprobs.mean() for logprobs in self.scores(text)])

    def initial_state(self, batch: int) -> tuple[Ints, ...]:
        """Return the state before the first step: no history, (batch, order - 1) of -1."""
        return (np.full((batch, self.order - 1), -1),)

    def step(self, tokens: Ints, state: tuple[Ints, ...]) -> tuple[Any, tuple[Ints, ...]]:
        """Read one more token of each sequence.

        Args:
            tokens: (batch, beam); -1 stands for no token.
            state: the last tokens, (batch, beam, order - 1), after as many -1 as are missing.

        Returns:
            What `logprobs` gives, (batch, beam, vocabulary_size), and the next state.
        """
        read = np.concatenate([state[0], tokens[..., None]], axis=-1)[..., 1:]
        logprobs = np.empty((*tokens.shape, self.vocabulary_size), dtype=np.float32)
        for place in np.ndindex(*tokens.shape):
            logprobs[place] = self.logprobs(read[place][read[place] != -1])
        return logprobs, (read,)

    def _by_order(self, ids: Ints) -> Iterator[Floats]:
        """Yield the probability of each token of a text, for each order from 1 on.

        Every place of the text at once is followed into ever longer n-grams, as long as the
        counted text has them: at `depth`, the `depth` tokens from `start` on are the context of
        the token `start + depth`.
        """
        lower = np.full(len(ids), 1 / self.vocabulary_size)
        start = np.arange(len(ids))
        low, high = np.zeros_like(start), np.full_like(start, len(self.counts.text))
        for depth in range(self.order):
            alive = (low < high) & (start + depth < len(ids))
            start, low, high = start[alive], low[alive], high[alive]
            target = start + depth
            _, first, context = np.unique(low, return_index=True, return_inverse=True)
            followers = self.counts.followers(low[first], high[first], depth)
            keys = followers.context * self.vocabulary_size + followers.token
            wanted = context * self.vocabulary_size + ids[target]
            follower = np.searchsorted(keys, wanted)
            seen = np.append(keys, -1)[follower] == wanted
            highest, middle = lower.copy(), lower
            for way, estimate in ((OCCURRENCES, highest), (self._lower_way, middle)):
                shares, weights = self._shares(followers, way, depth, len(first))
                estimate[target] *= weights[context]
                estimate[target[seen]] += shares[follower[seen]]
            yield highest
            start, follower = start[seen], follower[seen]
            low, high = followers.low[follower], followers.high[follower]
            if depth == 0 and self.counts.start is not None:  # a context all the same
                begun = np.flatnonzero(ids == self.counts.start)
                ends = self.counts.find(np.array([self.counts.start]))
                start = np.append(start, begun)
                low, high = (
                    np.append(part, np.full(len(begun), end))
                    for part, end in zip((low, high), ends, strict=True)
                )

    def _after_longest(self, context: Ints) -> Floats:
        """Return the shares of what follows the longest context that the text has.

        Without smoothing, shorter ones have no weight: they need not be looked at.
        """
        probabilities = np.zeros(self.vocabulary_size)
        for depth in range(len(context), -1, -1):
            low, high = self.counts.find(context[len(context) - depth :])
            if low < high:
                tokens, shares, _ = self._look_into(low, high, depth)
                if len(tokens):
                    probabilities[tokens] = shares
                    return probabilities
        return np.full(self.vocabulary_size, 1 / self.vocabulary_size)

    @property
    def _lower_way(self) -> int:
        """Return how the orders below the highest count."""
        return OCCURRENCES if self.smoothing == "none" else PREDECESSORS

    def _look_into(self, low: int, high: int, depth: int) -> tuple[Ints, Floats, Floats]:
        """Return one context's followers, their shares, and the weight of the lower order (1,)."""
        found = self._memory.get((low, high, depth))
        if found is None:
            followers = self.counts.followers_of(low, high, depth)
            way = OCCURRENCES if depth == self.order - 1 else self._lower_way
            found = followers.token, *self._shares(followers, way, depth, 1)
            if high - low > _FREQUENT:
                self._memory[low, high, depth] = found
        return found

    def _shares(
        self, followers: Followers, way: int, depth: int, contexts: int
    ) -> tuple[Floats, Floats]:
        """Return each follower's share, and each context's weight of the lower order."""
        counts = followers.counts[way]
        discounts = self.discounts[depth, way, np.minimum(counts, 3)]
        total = np.bincount(followers.context, counts, contexts)
        freed = np.bincount(followers.context, discounts, contexts)
        weights = np.divide(freed, total, out=np.ones(contexts), where=total > 0)
        return (counts - discounts) / total[followers.context], weights


def _log(probabilities: Floats) -> Floats:
    """Return natural logarithms; without smoothing, what never occurred has -inf."""
    with np.errstate(divide="ignore"):
        logprobs: Floats = np.log(probabilities)
    return logprobs


def _checked(ids: ArrayLike, vocabulary_size: int) -> Ints:
    """Return ids as an array, or raise ValueError if they are not ids."""
    array = np.asarray(ids)
    if array.ndim == 1 and not array.size:
        return np.zeros(0, dtype=int)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise ValueError(f"ids must be a list of integers, not {array.dtype} {array.shape}")
    if array.min() < 0 or array.max() >= vocabulary_size:
        wrong = array[(array < 0) | (array >= vocabulary_size)][0]
        raise ValueError(f"ids must be in 0..{vocabulary_size - 1}, one is {wrong}")
    return array.astype(int)


def _estimate_discounts(counts: Ints) -> Floats:
    """Estimate D(0..3) from how many n-grams were counted once, twice, three and four times."""
    n = np.bincount(np.minimum(counts, 5), minlength=6).astype(float)
    if not n[1:4].all():
        return np.array(_FALLBACK)
    c = np.arange(1, 4)
    discounts = c - (c + 1) * n[1] / (n[1] + 2 * n[2]) * n[c + 1] / n[c]
    return np.array([0.0, *discounts] if (discounts > 0).all() else _FALLBACK)
