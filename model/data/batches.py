"""Which pictures and captions each training step sees, as a function of the seed alone.

A plan can compute any epoch without those before it, so a resumed run sees exactly the batches that
an uninterrupted one would have seen, whatever the number of processes.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil

import torch
from torch import Tensor

from model.data.augmentation import mirror_caption
from model.vocabulary import Vocabulary

__all__ = ["CaptionBatch", "Item", "Plan", "collate"]


@dataclass(frozen=True)
class Item:
    """One picture of a batch: which set, which entry, which view of it, which captions."""

    dataset: int
    index: int
    view: int
    captions: tuple[int, ...]


class Plan:
    """The batches of every epoch.

    Args:
        captions: for each set, the number of captions of each of its pictures.
        weights: for each set, how many times an epoch shows each of its pictures on average.
        batch_size: pictures in a batch.
        captions_each: the largest number of captions for a picture in a batch.
        views: views to choose from (see `model.data.augmentation`).
        seed: determines all choices.

    Raises:
        ValueError: the weights are so small that an epoch would show no picture.
    """

    def __init__(
        self,
        captions: Sequence[Sequence[int]],
        weights: Sequence[float],
        *,
        batch_size: int,
        captions_each: int,
        views: int,
        seed: int,
    ) -> None:
        self._captions = captions
        self._counts = [round(w * len(c)) for w, c in zip(weights, captions, strict=True)]
        if not any(self._counts):
            raise ValueError("an epoch would show no picture: raise the sets' weights")
        self._batch_size = batch_size
        self._captions_each = captions_each
        self._views = views
        self._seed = seed

    def __len__(self) -> int:
        """Return the number of batches of an epoch."""
        return ceil(sum(self._counts) / self._batch_size)

    def epoch(self, epoch: int) -> list[list[Item]]:
        """List the batches of an epoch."""
        rng = random.Random(f"{self._seed}/{epoch}")  # noqa: S311 - no secret depends on it
        items: list[Item] = []
        for dataset, (counts, wanted) in enumerate(zip(self._captions, self._counts, strict=True)):
            indices: list[int] = []
            while len(indices) < wanted:
                remaining = wanted - len(indices)
                indices += rng.sample(range(len(counts)), min(remaining, len(counts)))
            for index in indices:
                chosen = rng.sample(range(counts[index]), min(counts[index], self._captions_each))
                items.append(Item(dataset, index, rng.randrange(self._views), tuple(chosen)))
        rng.shuffle(items)
        size = self._batch_size
        return [items[start : start + size] for start in range(0, len(items), size)]


@dataclass(frozen=True)
class CaptionBatch:
    """The captions of a batch of pictures, as ids, each (pictures, captions, steps).

    `inputs` holds what is read, from the start token on, and `targets` what follows each of
    these tokens, up to the end token. `reads` is true for tokens and false for padding; pictures
    with fewer captions than others have empty ones. If a loss needs them, `texts` holds all
    sentences about each picture, including those that are not read, and `lookalikes` those about
    pictures that look like it.
    """

    inputs: Tensor
    targets: Tensor
    reads: Tensor
    texts: Sequence[Sequence[str]] = ()
    lookalikes: Sequence[Sequence[str]] = ()

    @property
    def pictures(self) -> Tensor:
        """Whether each picture has a caption that is read: (pictures,), boolean."""
        return self.reads.any(-1).any(-1)

    def to(self, device: torch.device) -> "CaptionBatch":
        """Return the same batch on a device."""
        inputs, targets, reads = (t.to(device) for t in (self.inputs, self.targets, self.reads))
        return replace(self, inputs=inputs, targets=targets, reads=reads)


def collate(
    captions: Sequence[Sequence[str]],
    mirrored: Sequence[bool],
    vocabulary: Vocabulary,
    max_words: int,
) -> CaptionBatch:
    """Encode and pad the captions of a batch of pictures.

    Args:
        captions: for each picture of the batch, its sentences.
        mirrored: whether the view of the picture is its mirror image.
        vocabulary: turns words into ids.
        max_words: longer captions are cut off, and then do not end.
    """
    rows = [
        [
            [
                vocabulary.start_id,
                *vocabulary.encode(mirror_caption(sentence) if swap else sentence),
                vocabulary.end_id,
            ][: max_words + 2]
            for sentence in sentences
        ]
        for sentences, swap in zip(captions, mirrored, strict=True)
    ]
    captions_each = max(len(row) for row in rows)
    longest = max(len(ids) for row in rows for ids in row)
    padded = torch.full((len(rows), captions_each, longest), vocabulary.pad_id)
    for i, row in enumerate(rows):
        for j, ids in enumerate(row):
            padded[i, j, : len(ids)] = torch.tensor(ids)
    targets = padded[:, :, 1:].contiguous()
    return CaptionBatch(padded[:, :, :-1].contiguous(), targets, targets != vocabulary.pad_id)
