"""Consensus reranking of a whole batch by PyTorch, on the device of the search.

It computes what `model.captioning.consensus` describes, and looks at no value, so that a CUDA graph
can hold it. For a few pictures on a CPU the lookups of `ConsensusReranker` are faster.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.captioning.neighbours import MAX_ORDER, NeighbourIndex
from model.config import ConsensusConfig
from model.decoding.results import TracedArrays
from model.vocabulary import Vocabulary

__all__ = ["BatchReranker"]


class BatchReranker:
    """Reranks the sequences of a search, see `model.captioning.consensus`, on their device.

    Args:
        index, config, vocabulary_size: as for `ConsensusReranker`.
        device: of the sequences.
    """

    def __init__(
        self,
        index: NeighbourIndex,
        config: ConsensusConfig,
        vocabulary_size: int,
        device: str | torch.device,
    ) -> None:
        self.config = config
        self._base = vocabulary_size + 1

        def place(array: NDArray[Any], dtype: torch.dtype) -> Tensor:
            return torch.tensor(array).to(device, dtype)

        self._mean = place(index.mean, torch.float32)
        self._basis = place(index.basis, torch.float32)
        pictures = place(index.pictures, torch.float32)
        self._pictures = torch.nn.functional.normalize(pictures).T  # (dimensions, pictures)
        self._ngrams = place(index.ngrams, torch.int64)
        self._rarity = place(index.rarity, torch.float32)
        self._unseen = place(index.unseen, torch.float32)
        # The entries of each picture as rows of equal length, in order, which can be searched.
        owners = np.repeat(np.arange(len(index.pictures)), np.diff(index.starts))
        order = np.lexsort((index.columns, owners))
        columns, weights = (
            torch.nn.utils.rnn.pad_sequence(
                [torch.tensor(part) for part in np.split(values[order], index.starts[1:-1])],
                batch_first=True,
                padding_value=padding,
            )
            for values, padding in (
                (index.columns.astype(np.int32), len(index.ngrams)),  # a column that is not there
                (index.weights.astype(np.float32), 0.0),
            )
        )
        # One column more, so that what comes after all entries has a place.
        self._columns = torch.nn.functional.pad(columns, (0, 1), value=len(index.ngrams)).to(device)
        self._weights = torch.nn.functional.pad(weights, (0, 1)).to(device)

    def __call__(self, grid: Tensor, traced: TracedArrays, *, reorder: bool) -> TracedArrays:
        """Return the sequences with their agreement, reranked if asked for.

        Args:
            grid: of the pictures (batch, rows, columns, channels).
            traced: found by a search, best first.
            reorder: see `ConsensusReranker.rank`.
        """
        agreements = self.agreements(grid.mean((1, 2)), traced.tokens)
        traced = traced._replace(agreements=agreements)
        if not reorder:
            return traced
        mean_logprobs = traced.logprobs.sum(2) / traced.lengths.clamp(min=1)
        scores = agreements + self.config.likelihood * mean_logprobs
        # Finished ones first, and those that are not there last.
        classes = traced.finished.double() + (traced.lengths > 0)
        order = torch.argsort(scores + 1e6 * classes, dim=1, descending=True, stable=True)
        return TracedArrays(
            *(
                part.gather(1, order[..., None].expand_as(part) if part.ndim > 2 else order)
                for part in traced
            )
        )

    def agreements(self, features: Tensor, tokens: Tensor) -> Tensor:
        """Return the agreement of every sequence, 0 to 1, with those of similar pictures.

        Args:
            features: of the pictures, the mean of the encoder's grid (batch, channels).
            tokens: special ones only after the words (batch, results, steps).

        Returns:
            float32 (batch, results)
        """
        keys = self._keys(tokens)  # (batch, results, orders, steps)
        same = (keys[..., :, None] == keys[..., None, :]) & (keys >= 0)[..., None]
        counts = same.sum(-1)
        # What is said counts once, however often it is repeated.
        is_first = (keys >= 0) & ~same.tril(-1).any(-1)
        columns = torch.searchsorted(self._ngrams, keys).clamp(max=len(self._ngrams) - 1)
        known = self._ngrams[columns] == keys
        rarity = torch.where(known, self._rarity[columns], self._unseen)
        said = self._said(features, columns.flatten(1)).view_as(rarity)
        shared = (rarity * said * (is_first & known)).sum(-1)
        lengths = ((counts * rarity).square() * is_first).sum(-1).sqrt()
        cosines = torch.where(lengths > 0, shared / lengths.clamp(min=1e-12), 0.0)
        return cosines.mean(-1)

    def _keys(self, tokens: Tensor) -> Tensor:
        """Return the keys of all n-grams, by where they begin; -1 where one would reach too far."""
        steps = tokens.shape[-1]
        keys, by_order = torch.zeros_like(tokens), []
        whole = torch.ones_like(tokens, dtype=torch.bool)
        for order in range(MAX_ORDER):
            # One token longer: the token `order` places further on.
            ahead = torch.nn.functional.pad(tokens, (0, order))[..., order:][..., :steps]
            whole = whole & (ahead > Vocabulary.unknown_id)
            keys = keys * self._base + ahead + 1
            by_order.append(torch.where(whole, keys, -1))
        return torch.stack(by_order, dim=-2)

    def _said(self, features: Tensor, columns: Tensor) -> Tensor:
        """Return how much the captions of similar pictures have of n-grams: (batch, ngrams).

        Args:
            features: (batch, channels)
            columns: of the n-grams in the index (batch, ngrams).
        """
        axes = torch.nn.functional.normalize((features.float() - self._mean) @ self._basis)
        count = min(self.config.neighbours, self._pictures.shape[1])
        similar, nearest = (axes @ self._pictures).topk(count)  # (batch, neighbours)
        shares = (similar / self.config.temperature).softmax(1)
        theirs = self._columns[nearest]  # (batch, neighbours, entries)
        wanted = columns.to(torch.int32)[:, None].expand(-1, count, -1).contiguous()
        places = torch.searchsorted(theirs, wanted)  # (batch, neighbours, ngrams)
        found = theirs.gather(2, places) == wanted
        weights = self._weights[nearest].gather(2, places) * found
        return torch.einsum("bk,bkn->bn", shares, weights)
