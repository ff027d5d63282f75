"""Drawing the next token from a distribution.

Knows log-probabilities and chance; knows nothing of texts or networks.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from model.config import SamplingConfig

__all__ = ["NoRepeatNgram", "Sampler", "chance", "filter_top_k_top_p"]

_AHEAD = 64  # numbers that are drawn at once
_COLDEST = 1e-300  # of temperatures


def chance(seed: int) -> Iterator[float]:
    """Give numbers of 0 to 1 without an end, always the same ones for a seed."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        yield from torch.rand(_AHEAD, generator=generator, dtype=torch.float64).tolist()


class Sampler:
    """Draws tokens for several texts at once, each in a way and by a chance of its own.

    The same chance draws the same tokens, whatever other texts are drawn beside.

    Args:
        ways: one a text; temperature, top_k and top_p count here, see `filter_top_k_top_p`.
        chances: one a text, see `chance`.
    """

    def __init__(self, ways: Sequence[SamplingConfig], chances: Sequence[Iterator[float]]) -> None:
        temperature = np.array([way.temperature for way in ways])
        self._greedy = temperature == 0
        # At the smallest numbers there are, a difference of log-probabilities would be too large.
        temperature = np.maximum(np.where(self._greedy, 1.0, temperature), _COLDEST)
        self._temperature = temperature[:, None]  # (texts, 1)
        self._top_k = np.array([way.top_k for way in ways])[:, None]
        self._top_p = np.array([way.top_p for way in ways])[:, None]
        self._all_greedy = bool(self._greedy.all())
        self._whole = bool((self._top_k <= 0).all() and (self._top_p >= 1).all())
        self._chances = chances

    def draw(self, logprobs: NDArray[np.floating[Any]]) -> NDArray[np.int64]:
        """Draw the next token of every text.

        Args:
            logprobs: natural, of which at least one a row is finite (texts, vocabulary).

        Returns:
            ids (texts,).
        """
        likeliest: NDArray[np.int64] = logprobs.argmax(-1)
        if self._all_greedy:
            return likeliest
        if (
            self._whole
        ):  # what `filter_top_k_top_p` would give, but for a factor that makes no difference
            wide = logprobs.astype(np.float64)
            narrowed = (wide - wide.max(-1, keepdims=True)) / self._temperature
        else:
            narrowed = filter_top_k_top_p(logprobs, self._temperature, self._top_k, self._top_p)
        # The inverse of the cumulative distribution, in double precision: one number a text.
        cumulative = np.exp(narrowed).cumsum(-1)
        numbers = np.array([next(own) for own in self._chances])[:, None]  # (texts, 1)
        drawn: NDArray[np.int64] = (cumulative <= numbers * cumulative[:, -1:]).sum(-1)
        return np.where(self._greedy, likeliest, np.minimum(drawn, logprobs.shape[-1] - 1))


def filter_top_k_top_p(
    logprobs: NDArray[np.floating[Any]],
    temperature: ArrayLike,
    top_k: ArrayLike = 0,
    top_p: ArrayLike = 1.0,
) -> NDArray[np.float64]:
    """Sharpen or flatten distributions, and cut their tails off.

    p_i ** (1 / temperature), then the `top_k` likeliest (0: all), then the fewest likeliest whose
    probabilities reach `top_p` together (nucleus sampling, Holtzman et al. 2020), each time made
    to sum to 1 again. Of equals at the edge, the tokens with the smaller ids stay.

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
        wide = _normalised((wide - wide.max(-1, keepdims=True)) / temperature)
    if (top_k <= 0).all() and (top_p >= 1).all():
        return wide
    order = np.argsort(-wide, axis=-1, kind="stable")
    ordered = np.take_along_axis(wide, order, -1)
    count = np.where(top_k > 0, top_k, ordered.shape[-1])
    ordered = _normalised(np.where(np.arange(ordered.shape[-1]) < count, ordered, -np.inf))
    # What the likelier ones have together.
    before = np.zeros_like(ordered)
    np.cumsum(np.exp(ordered[..., :-1]), axis=-1, out=before[..., 1:])
    reached = before >= np.where(top_p < 1, top_p, np.inf)
    narrowed = np.empty_like(wide)
    np.put_along_axis(narrowed, order, np.where(reached, -np.inf, ordered), -1)
    return _normalised(narrowed)


def _normalised(logprobs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Make probabilities sum to 1."""
    shifted = logprobs - logprobs.max(-1, keepdims=True)
    total: NDArray[np.float64] = np.exp(shifted).sum(-1, keepdims=True)
    normalised: NDArray[np.float64] = shifted - np.log(total)
    return normalised


class NoRepeatNgram:
    """Forbids any `length` tokens in a row to come twice in a text (0: forbids nothing).

    Args:
        length: of the n-grams.
        tokens: what the text begins with.
    """

    def __init__(self, length: int, tokens: Sequence[int] = ()) -> None:
        self._length = length
        self._recent: list[int] = []
        self._followers: dict[tuple[int, ...], set[int]] = {}
        for token in tokens:
            self.add(token)

    def add(self, token: int) -> None:
        """Take note of the next token."""
        if self._length == 0:
            return
        if len(self._recent) == self._length - 1:
            self._followers.setdefault(tuple(self._recent), set()).add(token)
        self._recent = [*self._recent, token][-self._length + 1 :] if self._length > 1 else []

    def forbid(self, logprobs: NDArray[np.floating[Any]]) -> None:
        """Set to -inf what would repeat an n-gram, unless nothing else were left (vocabulary,)."""
        if self._length == 0 or not (seen := self._followers.get(tuple(self._recent))):
            return
        kept = logprobs.copy()
        kept[list(seen)] = -np.inf
        if np.isfinite(kept).any():
            logprobs[:] = kept
