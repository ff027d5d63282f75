"""Encode the training pictures in one pass, for everything that is computed from them."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from model.captioning.captioner import Captioner
from model.data.karpathy import CaptionDataset, Entry
from model.networks.image_context import ImageContext
from model.reporting.progress import batches

__all__ = ["TrainingPictures", "encode_training_pictures", "some_entries"]


@dataclass(frozen=True)
class TrainingPictures:
    """The training pictures as a captioner encodes them.

    Attributes:
        mean_context: the mean image context, float32, as a batch of one.
        features: the mean of each picture's grid, float32 (pictures, channels).
        captions: people's captions of each picture.
    """

    mean_context: ImageContext
    features: Tensor
    captions: list[tuple[str, ...]]


def encode_training_pictures(
    captioner: Captioner,
    datasets: Sequence[CaptionDataset],
    *,
    split: str = "train",
    limit: int | None = None,
    batch_size: int = 32,
    progress: bool = True,
) -> TrainingPictures:
    """Encode every training picture once.

    Args:
        captioner: trained.
        datasets: each must have the split.
        split: the one that was trained on.
        limit: the most pictures of each set, evenly spread; None takes all.
        batch_size: pictures that are encoded together.
        progress: whether to show a progress bar on standard error.

    Raises:
        ValueError: a set has no such split.
    """
    totals: dict[str, Tensor] = {}
    features: list[Tensor] = []
    captions: list[tuple[str, ...]] = []
    for dataset in datasets:
        entries = some_entries(dataset, split, limit)
        for batch in batches(entries, batch_size, what="Training pictures", show=progress):
            grid = captioner.encode(captioner.prepare([dataset.picture(one) for one in batch]))
            with torch.inference_mode():
                seen = captioner.network.decoder.encode_context(grid).to_dict()
            for name, part in seen.items():
                total = part.sum(0, keepdim=True).cpu().double()
                totals[name] = totals[name] + total if name in totals else total
            features.append(grid.mean((1, 2)).cpu())
            captions += [entry.captions for entry in batch]
    means = {name: (total / len(captions)).float() for name, total in totals.items()}
    return TrainingPictures(ImageContext.from_dict(means), torch.cat(features), captions)


def some_entries(dataset: CaptionDataset, split: str, limit: int | None) -> Sequence[Entry]:
    """List a split's entries, at most `limit` of them, evenly spread."""
    entries = dataset.split(split)
    count = min(len(entries), limit or len(entries))
    return [entries[i * len(entries) // count] for i in range(count)]
