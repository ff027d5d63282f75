"""Soft attention: each query takes a weighted mean of the cells of a grid.

Several queries (the beams of one picture) share the picture's keys and values, which are computed
once.
"""

import math

import torch
from torch import Tensor, nn

from model.config import DecoderConfig
from model.networks.heads import split_heads, split_keys

__all__ = ["AdditiveAttention", "DotAttention", "make_attention"]


class AdditiveAttention(nn.Module):
    """score(q, k) = v . tanh(W q + k) (Bahdanau et al. 2015; Xu et al. 2015, section 3.1.2)."""

    def __init__(self, query_size: int, value_size: int, size: int) -> None:
        super().__init__()
        self.to_key = nn.Linear(value_size, size)
        self.to_query = nn.Linear(query_size, size, bias=False)
        self.to_score = nn.Linear(size, 1, bias=False)

    def keys(self, values: Tensor) -> Tensor:
        """Project the grid, once per picture: (batch, cells, value) -> (batch, cells, size)."""
        keys: Tensor = self.to_key(values)
        return keys

    def forward(self, query: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Attend to the grid.

        Args:
            query: (batch, beam, query)
            keys: (batch, cells, size)
            values: (batch, cells, value)

        Returns:
            The weighted means (batch, beam, value) and the weights (batch, beam, cells), whose
            sum over the cells is 1.
        """
        mixed = torch.tanh(self.to_query(query)[:, :, None] + keys[:, None])
        scores = self.to_score(mixed)[..., 0]  # (batch, beam, cells)
        weights = scores.float().softmax(-1)
        return weights.to(values.dtype) @ values, weights


class DotAttention(nn.Module):
    """score(q, k) = (W q) . k / sqrt(d), in several heads (Vaswani et al. 2017, section 3.2).

    Each head weights its own slice of the values; the weights returned are the mean over heads.
    """

    def __init__(self, query_size: int, value_size: int, size: int, heads: int = 1) -> None:
        super().__init__()
        self.heads = heads
        self.to_key = nn.Linear(value_size, size)
        self.to_query = nn.Linear(query_size, size, bias=False)

    def keys(self, values: Tensor) -> Tensor:
        """Project the grid, once per picture: (batch, cells, value) -> (batch, cells, size)."""
        keys: Tensor = self.to_key(values)
        return keys

    def forward(self, query: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Attend to the grid; shapes as in `AdditiveAttention.forward`.

        Keys and values may also be split by heads already (see `model.networks.heads`), so that
        the many queries of one picture need not repeat that.
        """
        if keys.dim() == 3:
            keys, values = split_keys(keys, self.heads), split_heads(values, self.heads)
        batch, beam = query.shape[:2]
        queries = split_heads(
            self.to_query(query), self.heads
        )  # (batch, heads, beam, size / heads)
        scale = 1 / math.sqrt(queries.shape[-1])
        # With three axes: a product over four would copy both factors first.
        scores = torch.bmm(queries.flatten(0, 1), keys.flatten(0, 1)) * scale
        weights = scores.float().softmax(-1)  # (batch * heads, beam, cells)
        attended = torch.bmm(weights.to(values.dtype), values.flatten(0, 1))
        attended = attended.view(batch, self.heads, beam, -1).transpose(1, 2).flatten(2)
        return attended, weights.view(batch, self.heads, beam, -1).mean(1)


def make_attention(
    config: DecoderConfig, query_size: int, value_size: int
) -> AdditiveAttention | DotAttention:
    """Build the attention that a configuration names."""
    if config.attention == "additive":
        return AdditiveAttention(query_size, value_size, config.attention_size)
    return DotAttention(query_size, value_size, config.attention_size, config.attention_heads)
