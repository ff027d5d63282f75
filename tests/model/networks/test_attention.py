"""Attention against its equations; queries of one picture do not see each other."""

import math

import pytest
import torch

from model.config import DecoderConfig
from model.networks.attention import AdditiveAttention, DotAttention, make_attention
from model.networks.heads import split_heads, split_keys

KINDS = [AdditiveAttention(6, 8, 4), DotAttention(6, 8, 8), DotAttention(6, 8, 8, heads=4)]


@pytest.mark.parametrize("attention", KINDS)
def test_weights_are_a_distribution_over_the_cells(attention):
    values = torch.randn(2, 9, 8)
    attended, weights = attention(torch.randn(2, 3, 6), attention.keys(values), values)
    assert attended.shape == (2, 3, 8)
    assert weights.shape == (2, 3, 9)
    assert weights.min() > 0
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 3))


@pytest.mark.parametrize("attention", KINDS)
def test_queries_do_not_affect_each_other(attention):
    values, query = torch.randn(2, 9, 8), torch.randn(2, 3, 6)
    together = attention(query, attention.keys(values), values)
    for b in range(2):
        for k in range(3):
            one = values[b : b + 1]
            alone = attention(query[b : b + 1, k : k + 1], attention.keys(one), one)
            for part, whole in zip(alone, together, strict=True):
                torch.testing.assert_close(part[0, 0], whole[b, k])


@pytest.mark.parametrize("attention", KINDS[1:])
def test_keys_and_values_may_be_split_by_heads_already(attention):
    values, query = torch.randn(2, 9, 8), torch.randn(2, 3, 6)
    keys, heads = attention.keys(values), attention.heads
    split = attention(query, split_keys(keys, heads), split_heads(values, heads))
    for mine, theirs in zip(split, attention(query, keys, values), strict=True):
        assert torch.equal(mine, theirs)


def test_additive_attention_is_its_equation():
    attention = AdditiveAttention(6, 8, 4).double()
    values, query = torch.randn(9, 8).double(), torch.randn(6).double()
    scores = torch.stack(
        [
            attention.to_score.weight[0]
            @ torch.tanh(attention.to_query.weight @ query + attention.to_key(cell))
            for cell in values
        ]
    )
    attended, weights = attention(query[None, None], attention.keys(values[None]), values[None])
    torch.testing.assert_close(weights[0, 0].double(), scores.softmax(0), atol=1e-6, rtol=0)
    torch.testing.assert_close(attended[0, 0], scores.softmax(0) @ values, atol=1e-6, rtol=0)


def test_dot_attention_is_its_equation_head_by_head():
    attention = DotAttention(6, 8, 8, heads=2).double()
    values, query = torch.randn(9, 8).double(), torch.randn(6).double()
    keys, q = attention.to_key(values), attention.to_query(query)
    heads = [slice(0, 4), slice(4, 8)]
    weights = [(keys[:, head] @ q[head] / math.sqrt(4)).softmax(0) for head in heads]
    expected = torch.cat([w @ values[:, head] for w, head in zip(weights, heads, strict=True)])
    attended, mean = attention(query[None, None], attention.keys(values[None]), values[None])
    torch.testing.assert_close(attended[0, 0], expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(mean[0, 0].double(), sum(weights) / 2, atol=1e-6, rtol=0)


def test_the_configuration_names_the_attention():
    additive = make_attention(DecoderConfig(attention="additive", attention_size=4), 6, 8)
    dot = make_attention(
        DecoderConfig(attention="dot", attention_size=8, attention_heads=4, hidden_size=8), 6, 8
    )
    assert isinstance(additive, AdditiveAttention)
    assert isinstance(dot, DotAttention)
    assert dot.heads == 4
