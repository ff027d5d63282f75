"""Drawing the next token from a distribution.

Knows log-probabilities and chance; knows nothing of texts or networks.
"""

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

__all__ = ["RepetitionGuard", "Sampler", "narrow"]

_AHEAD = 64  # numbers that are drawn at once


class Sampler:
    """Draws tokens for several texts at once, each by chance of its own.

    The same seed draws the same tokens, whatever other texts are drawn beside.

    Args:
        seeds: one a text.
        temperature, top_k, top_p: see `narrow`.
    """

    def __init__(
        self, seeds: Sequence[int], *, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0
    ) -> None:
        self._chances = [torch.Generator().manual_seed(seed) for seed in seeds]
        self._numbers: Iterator[Tensor] = iter(())
        self._temperature, self._top_k, self._top_p = temperature, top_k, top_p

    def draw(self, logprobs: Tensor) -> Tensor:
        """Draw the next token of every text.

        Args:
            logprobs: natural, of which at least one a row is finite (texts, vocabulary).

        Returns:
            ids (texts,), on the CPU.
        """
        logprobs = logprobs.detach().cpu()
        if self._temperature == 0:
            return logprobs.argmax(-1)
        narrowed = narrow(logprobs, self._temperature, self._top_k, self._top_p)
        # The inverse of the cumulative distribution, in double precision: one number a text.
        cumulative = narrowed.double().exp().cumsum(-1)
        drawn = torch.searchsorted(cumulative, self._number() * cumulative[:, -1:], right=True)
        return drawn[:, 0].clamp(max=logprobs.shape[-1] - 1)

    def _number(self) -> Tensor:
        """Take a number of 0 to 1 from each text's chance (texts, 1)."""
        number = next(self._numbers, None)
        if number is None:  # one call a text for many steps, not for each
            ahead = [torch.rand(_AHEAD, generator=c, dtype=torch.float64) for c in self._chances]
            self._numbers = iter(torch.stack(ahead, dim=1)[..., None])
            number = next(self._numbers)
        return number


def narrow(logprobs: Tensor, temperature: float, top_k: int = 0, top_p: float = 1.0) -> Tensor:
    """Sharpen or flatten distributions, and cut their tails off.

    p_i ** (1 / temperature), then the `top_k` likeliest (0: all), then the fewest likeliest whose
    probabilities reach `top_p` together (nucleus sampling, Holtzman et al. 2020), each time made
    to sum to 1 again. Of equals at the edge, the tokens with the smaller ids stay.

    Args:
        logprobs: natural (..., vocabulary).
        temperature: above 0.

    Returns:
        Log-probabilities, -inf for what was cut off; same shape.
    """
    logprobs = logprobs.double()
    # From the likeliest down: next to no temperature would take even that one to -inf.
    logprobs = ((logprobs - logprobs.amax(-1, keepdim=True)) / temperature).log_softmax(-1)
    if top_k <= 0 and top_p >= 1:
        return logprobs
    ordered, order = logprobs.sort(dim=-1, descending=True, stable=True)
    if 0 < top_k < ordered.shape[-1]:
        ordered[..., top_k:] = -math.inf
        ordered = ordered.log_softmax(-1)
    if top_p < 1:
        # What the likelier ones have together.
        before = nn.functional.pad(ordered.exp().cumsum(-1)[..., :-1], (1, 0))
        ordered = ordered.masked_fill(before >= top_p, -math.inf)
    return torch.full_like(logprobs, -math.inf).scatter(-1, order, ordered).log_softmax(-1)


class RepetitionGuard:
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

    def forbid(self, logprobs: Tensor) -> None:
        """Set to -inf what would repeat an n-gram, unless nothing else were left (vocabulary,)."""
        seen = self._followers.get(tuple(self._recent))
        if self._length == 0 or not seen:
            return
        kept = logprobs.clone()
        kept[list(seen)] = -math.inf
        if torch.isfinite(kept).any():
            logprobs.copy_(kept)
