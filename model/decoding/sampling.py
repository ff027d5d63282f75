"""Draw the next token from a distribution, and whole sequences token by token.

No model is known here. Sampling works on NumPy's arrays, wherever the log-probabilities come from.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from array_api_compat import array_namespace, device
from numpy.random.bit_generator import ISeedSequence
from numpy.typing import ArrayLike, NDArray

from model.arrays import to_numpy
from model.config import DecodingConfig
from model.decoding.constraints import Constraint
from model.decoding.hypothesis import DecodingCancelled, Hypothesis, SearchState, StepFunction

__all__ = ["SamplingMethod", "TokenSampler", "filter_top_k_top_p", "random_numbers", "sample"]

_DRAWN_AT_ONCE = 64
_COLDEST = 1e-300  # smallest temperature; below, differences of log-probabilities overflow


class SamplingMethod(Protocol):
    """What `SamplingConfig` and `DecodingConfig` have in common: how tokens are drawn."""

    @property
    def temperature(self) -> float | None:
        """What log-probabilities are divided by; 0 takes the likeliest token."""

    @property
    def top_k(self) -> int:
        """How many of the likeliest tokens are kept; 0: all."""

    @property
    def top_p(self) -> float:
        """The probability that the kept tokens reach together; 1: all are kept."""


def sample(
    step: StepFunction,
    state: SearchState,
    decoding: DecodingConfig,
    *,
    start_token: int,
    end_token: int,
    constraints: Sequence[Constraint] = (),
    cancelled: Callable[[], bool] = lambda: False,
) -> list[list[Hypothesis]]:
    """Draw sequences token by token until the end token comes.

    For each member of the batch `num_captions` sequences are drawn, number i with `seed` + i, so
    that it does not depend on how many others are drawn.

    Args:
        step, state, start_token, end_token, constraints, cancelled: as in `beam_search.search`.
        decoding: number and length of the sequences, and how tokens are drawn.

    Returns:
        The sequences of each member in the order of their seeds, with the log-probabilities that
        the model gave them, before temperature and filters changed these.
    """
    batch, count = state[0].shape[0], decoding.num_captions
    xp, where = array_namespace(state[0]), device(state[0])
    state = tuple(xp.broadcast_to(s[:, None], (batch, count, *s.shape[1:])) for s in state)
    seed = decoding.seed or 0
    numbers = [random_numbers(seed + i) for _ in range(batch) for i in range(count)]
    sampler = TokenSampler([decoding] * len(numbers), numbers)
    history = np.zeros((batch, count, 0), dtype=np.int64)
    logprobs = np.zeros((batch, count, 0))
    tokens = np.full((batch, count), start_token, dtype=np.int64)
    while history.shape[-1] < decoding.max_length and not _all_ended(history, end_token):
        if cancelled():
            raise DecodingCancelled
        found, state = step(xp.asarray(tokens, device=where), state)
        given = to_numpy(found).astype(np.float32, copy=False)  # (batch, count, vocabulary)
        scores = given.copy()
        for constraint in constraints:
            constraint.mask(scores, history)
        # Where everything is forbidden, the sequence ends.
        scores[~np.isfinite(scores).any(-1), end_token] = 0.0
        tokens = sampler.draw(scores.reshape(-1, scores.shape[-1])).reshape(batch, count)
        history = np.concatenate([history, tokens[..., None]], axis=-1)
        token_logprobs = np.take_along_axis(given, tokens[..., None], axis=-1)
        logprobs = np.concatenate([logprobs, token_logprobs], axis=-1)
    return [
        [_until_end(history[i, j], logprobs[i, j], end_token) for j in range(count)]
        for i in range(batch)
    ]


def _all_ended(history: NDArray[np.int64], end_token: int) -> bool:
    return bool((history == end_token).any(-1).all())


def _until_end(
    tokens: NDArray[np.int64], logprobs: NDArray[np.floating[Any]], end_token: int
) -> Hypothesis:
    """Cut a sequence after its first end token."""
    ends = np.flatnonzero(tokens == end_token)
    length = int(ends[0]) + 1 if len(ends) else len(tokens)
    return Hypothesis(
        tuple(tokens[:length].tolist()), tuple(logprobs[:length].tolist()), bool(len(ends))
    )


def random_numbers(seed: int) -> Iterator[float]:
    """Yield numbers in [0, 1) without end, always the same ones for a seed.

    They are those that `torch.rand` draws in double precision with this seed: from the Mersenne
    Twister (Matsumoto and Nishimura 1998), the lowest 53 bits of each pair of its numbers.

    Args:
        seed: 0 or more; only its lowest 32 bits count.
    """
    bits = np.random.MT19937(_NoEntropy())  # type: ignore[arg-type] # any ISeedSequence will do
    twister = np.random.RandomState(bits)
    twister.seed(seed % 2**32)
    while True:
        words = twister.randint(0, 2**32, 2 * _DRAWN_AT_ONCE, dtype=np.uint32).astype(np.uint64)
        low_53_bits = ((words[0::2] << np.uint64(32)) | words[1::2]) & np.uint64(2**53 - 1)
        yield from (low_53_bits * 2.0**-53).tolist()


class _NoEntropy(ISeedSequence):
    """The seed of a generator that is seeded again at once; NumPy's own takes 0.2 ms to mix."""

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> NDArray[Any]:
        return np.ones(n_words, dtype)


class TokenSampler:
    """A sampler of several sequences at once, each with its own method and random numbers.

    The same numbers draw the same tokens, whatever other sequences are drawn at the same time.

    Args:
        methods: one a sequence.
        numbers: one a sequence, see `random_numbers`.
    """

    def __init__(
        self, methods: Sequence[SamplingMethod], numbers: Sequence[Iterator[float]]
    ) -> None:
        temperature = np.array([method.temperature for method in methods], dtype=np.float64)
        self._greedy = temperature == 0
        temperature = np.maximum(np.where(self._greedy, 1.0, temperature), _COLDEST)
        self._temperature = temperature[:, None]  # (sequences, 1)
        self._top_k = np.array([method.top_k for method in methods])[:, None]
        self._top_p = np.array([method.top_p for method in methods])[:, None]
        self._all_greedy = bool(self._greedy.all())
        self._unfiltered = bool((self._top_k <= 0).all() and (self._top_p >= 1).all())
        self._numbers = numbers

    def draw(self, logprobs: NDArray[np.floating[Any]]) -> NDArray[np.int64]:
        """Draw the next token of every sequence.

        Args:
            logprobs: natural, at least one a row finite (sequences, vocabulary).

        Returns:
            Token ids (sequences,).
        """
        likeliest: NDArray[np.int64] = logprobs.argmax(-1)
        if self._all_greedy:
            return likeliest
        if self._unfiltered:  # the filter would only normalise, which changes no draw
            wide = logprobs.astype(np.float64)
            filtered = (wide - wide.max(-1, keepdims=True)) / self._temperature
        else:
            filtered = filter_top_k_top_p(logprobs, self._temperature, self._top_k, self._top_p)
        # The inverse of the cumulative distribution, in double precision: one number a sequence.
        cumulative = np.exp(filtered).cumsum(-1)
        numbers = np.array([next(stream) for stream in self._numbers])[:, None]  # (sequences, 1)
        drawn: NDArray[np.int64] = (cumulative <= numbers * cumulative[:, -1:]).sum(-1)
        return np.where(self._greedy, likeliest, np.minimum(drawn, logprobs.shape[-1] - 1))


def filter_top_k_top_p(
    logprobs: NDArray[np.floating[Any]],
    temperature: ArrayLike,
    top_k: ArrayLike = 0,
    top_p: ArrayLike = 1.0,
) -> NDArray[np.float64]:
    """Sharpen or flatten distributions, and cut off their tails.

    p_i ** (1 / temperature), then the `top_k` likeliest (0: all), then the fewest likeliest whose
    probabilities reach `top_p` together (nucleus sampling, Holtzman et al. 2020), each time
    normalised again. Of equals at the edge, the tokens with the smaller ids stay.

    Args:
        logprobs: natural (..., vocabulary).
        temperature: above 0; like the others one number, or one a row (..., 1).

    Returns:
        Log-probabilities, -inf for what was cut off; same shape.
    """
    top_k, top_p = np.asarray(top_k), np.asarray(top_p)
    wide = logprobs.astype(np.float64)
    with np.errstate(over="ignore"):
        # From the likeliest down: next to no temperature would take even that one to -inf.
        wide = _normalise((wide - wide.max(-1, keepdims=True)) / temperature)
    if (top_k <= 0).all() and (top_p >= 1).all():
        return wide
    order = np.argsort(-wide, axis=-1, kind="stable")
    ordered = np.take_along_axis(wide, order, -1)
    count = np.where(top_k > 0, top_k, ordered.shape[-1])
    ordered = _normalise(np.where(np.arange(ordered.shape[-1]) < count, ordered, -np.inf))
    # The probability of all likelier tokens together.
    before = np.zeros_like(ordered)
    np.cumsum(np.exp(ordered[..., :-1]), axis=-1, out=before[..., 1:])
    reached = before >= np.where(top_p < 1, top_p, np.inf)
    filtered = np.empty_like(wide)
    np.put_along_axis(filtered, order, np.where(reached, -np.inf, ordered), -1)
    return _normalise(filtered)


def _normalise(logprobs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Make probabilities sum to 1."""
    shifted = logprobs - logprobs.max(-1, keepdims=True)
    total: NDArray[np.float64] = np.exp(shifted).sum(-1, keepdims=True)
    normalised: NDArray[np.float64] = shifted - np.log(total)
    return normalised
