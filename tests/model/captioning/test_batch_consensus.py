"""Whole batches are reranked as captions one by one are."""

import math

import numpy as np
import pytest
import torch

from model.captioning.consensus import ConsensusReranker
from model.captioning.neighbours import NeighbourIndex, count_ngrams
from model.config import ConsensusConfig
from model.decoding.hypothesis import Hypothesis, RankedHypothesis
from model.decoding.results import TracedArrays, read_traced

WORDS, CHANNELS, DIMENSIONS, STEPS, END = 9, 12, 5, 8, 2


def captions(rng: np.random.Generator, count: int) -> list[list[int]]:
    """Draw captions of few words, which repeat themselves; some without an end."""
    return [
        [
            *rng.integers(4, 4 + WORDS, rng.integers(0, STEPS)).tolist(),
            *[END] * (rng.random() < 0.8),
        ]
        for _ in range(count)
    ]


def random_index(rng: np.random.Generator, pictures: int) -> NeighbourIndex:
    ngrams = np.unique(count_ngrams(captions(rng, 40), WORDS + 4).keys)
    sizes = rng.integers(0, len(ngrams) // 2, pictures)  # a picture may have none
    columns = [rng.permutation(len(ngrams))[:size] for size in sizes]  # in any order
    return NeighbourIndex(
        mean=rng.normal(size=CHANNELS).astype(np.float16),
        basis=rng.normal(size=(CHANNELS, DIMENSIONS)).astype(np.float16),
        pictures=rng.integers(-127, 128, (pictures, DIMENSIONS)).astype(np.int8),
        ngrams=ngrams,
        rarity=rng.uniform(0.1, 5, len(ngrams)).astype(np.float32),
        unseen=np.array([5.0], dtype=np.float32),
        starts=np.append(0, np.cumsum(sizes)).astype(np.int32),
        columns=np.concatenate(columns).astype(np.uint16),
        weights=rng.uniform(0, 1, sizes.sum()).astype(np.float16),
    )


def as_arrays(found: list[list[Hypothesis]], results: int) -> TracedArrays:
    """Return hypotheses as a search has them on its device."""
    shape = (len(found), results)
    tokens, logprobs = (
        torch.zeros(*shape, STEPS, dtype=kind) for kind in (torch.int64, torch.float32)
    )
    lengths, finished = (torch.zeros(shape, dtype=kind) for kind in (torch.int64, torch.bool))
    for i, hypotheses in enumerate(found):
        for j, one in enumerate(hypotheses):
            length = len(one.tokens)
            tokens[i, j, :length] = torch.tensor(one.tokens)
            logprobs[i, j, :length] = torch.tensor(one.logprobs)
            lengths[i, j], finished[i, j] = length, one.finished
    return TracedArrays(tokens, logprobs, lengths, finished, torch.full(shape, math.nan))


def plain(ranked: list[list[RankedHypothesis]]) -> list[list[tuple[int, ...]]]:
    return [[one.hypothesis.tokens for one in best] for best in ranked]


@pytest.mark.parametrize("reorder", [True, False])
@pytest.mark.parametrize("neighbours", [1, 3, 50])
@pytest.mark.parametrize("seed", range(5))
def test_a_batch_is_ranked_as_one_by_one(seed, neighbours, reorder):
    rng = np.random.default_rng(seed)
    config = ConsensusConfig(neighbours=neighbours, temperature=0.3, likelihood=0.1)
    reranker = ConsensusReranker(random_index(rng, 20), config, WORDS + 4)
    found = []
    for _ in range(6):
        drawn = [tokens for tokens in captions(rng, 7) if tokens]
        drawn.sort(key=lambda tokens: END not in tokens)  # as a search returns them
        found.append(
            [
                Hypothesis(tuple(t), tuple(rng.uniform(-3, 0, len(t)).astype(np.float32)), END in t)
                for t in drawn
            ]
        )
    grid = torch.tensor(rng.normal(size=(6, 2, 3, CHANNELS)), dtype=torch.float32)
    expected = reranker.rank(grid.mean((1, 2)).numpy(), found, reorder=reorder)
    ranked = read_traced(reranker.batched("cpu")(grid, as_arrays(found, 7), reorder=reorder))
    assert plain(ranked) == plain(expected)
    for best, known in zip(ranked, expected, strict=True):
        agreements = [[one.agreement for one in row] for row in (best, known)]
        assert agreements[0] == pytest.approx(agreements[1], abs=1e-5)
        assert [one.hypothesis for one in best] == [one.hypothesis for one in known]
