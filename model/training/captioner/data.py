"""A recipe's data sets as batches of tensors: features from the cache, or pixels."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console
from rich.filesize import decimal
from torch import Tensor
from torch.utils.data import Dataset

from model.bundle.format import CONFIG
from model.bundle.read import load_bundle
from model.config import CaptionerConfig
from model.data.augmentation import augment, is_mirrored, mirror_caption
from model.data.batches import CaptionBatch, Item, Plan, collate
from model.data.feature_cache import FeatureCache, check_space
from model.data.karpathy import CaptionDataset, Entry
from model.data.lookalikes import read_lookalikes
from model.networks.encoder import Encoder
from model.preprocessing import Preprocessing
from model.reporting.progress import progress
from model.training.recipe import KEPT_FROM_A_BUNDLE, CaptionerRecipe, data_path
from model.vocabulary import Vocabulary

__all__ = ["Batches", "TrainingData"]


class TrainingData:
    """The sets of a recipe.

    With a frozen encoder `cache` must be called before any batch is read.
    """

    def __init__(self, recipe: CaptionerRecipe) -> None:
        self.recipe = recipe
        self.sets = [
            CaptionDataset(data_path(data.captions), [data_path(p) for p in data.pictures])
            for data in recipe.data
        ]
        self.train = [data.split("train") for data in self.sets]
        self.validation = [data.split("val") for data in self.sets]
        self.lookalikes = [
            self._read_lookalikes(data.lookalikes, entries)
            for data, entries in zip(recipe.data, self.train, strict=True)
        ]
        self.vocabulary = self._build_vocabulary()
        self.plan = Plan(
            [[len(entry.captions) for entry in entries] for entries in self.train],
            [data.weight for data in recipe.data],
            batch_size=recipe.optimisation.batch_size,
            captions_each=recipe.optimisation.captions_each,
            views=recipe.views,
            seed=recipe.seed,
        )
        self.preprocessing = Preprocessing(recipe.preprocessing)
        self._train_features: list[FeatureCache] = []
        self._validation_features: list[FeatureCache] = []

    def cache(
        self, encoder: Encoder, device: torch.device, dtype: torch.dtype, console: Console
    ) -> None:
        """Compute the features of all pictures with a frozen encoder, or read them from disk.

        Raises:
            OSError: there is no room for them.
        """
        folder = Path(self.recipe.feature_cache)

        def features(dataset: CaptionDataset, entries: Sequence[Entry], views: int) -> FeatureCache:
            return FeatureCache(
                folder,
                dataset,
                entries,
                encoder=encoder,
                preprocessing=self.preprocessing,
                views=views,
                crops=self.recipe.crops,
                device=device,
                dtype=dtype,
            )

        for dataset, train, validation in zip(self.sets, self.train, self.validation, strict=True):
            self._train_features.append(features(dataset, train, self.recipe.views))
            self._validation_features.append(features(dataset, validation, 1))
        caches = [*self._train_features, *self._validation_features]
        missing = sum(cache.missing for cache in caches)
        if not missing:
            return
        needed = sum(cache.missing_bytes() for cache in caches)
        free = check_space(folder, needed)
        console.print(
            f"computing the features of {missing:,} views of pictures, once: they take "
            f"{decimal(needed)} in {folder}, where {decimal(free)} are free"
        )
        done = 0
        with progress(console, "features", missing) as update:

            def advance(pictures: int) -> None:
                nonlocal done
                done += pictures
                update(done, "")

            for cache in caches:
                cache.compute(advance)

    def word_rates(self) -> Tensor:
        """Return the share of the training captions that have each word: (vocabulary - 4,)."""
        texts = [text for entries in self.train for e in entries for text in e.captions]
        counts = Counter(i for text in texts for i in set(self.vocabulary.encode(text)))
        first = self.vocabulary.unknown_id + 1
        return torch.tensor([counts[i] / len(texts) for i in range(first, len(self.vocabulary))])

    @property
    def cached(self) -> bool:
        """Whether batches are grids from the cache, and not pixels."""
        return bool(self._train_features)

    def load(self, batch: Sequence[Item], epoch: int) -> tuple[Tensor, CaptionBatch]:
        """Read one batch: the grids (or, without a cache, the pixels) and their captions."""
        entries = [self.train[item.dataset][item.index] for item in batch]
        # A cached view is the same in every epoch. Without a cache each epoch has new ones, and so
        # has each seed, so that a training that continues from another's weights sees new ones.
        suffix = "" if self.cached else f"/{self.recipe.seed}/{epoch}"
        seeds = [entry.filename + suffix for entry in entries]
        mirrored = [is_mirrored(i.view, seed) for i, seed in zip(batch, seeds, strict=True)]
        captions = collate(
            [
                [e.captions[i] for i in item.captions]
                for e, item in zip(entries, batch, strict=True)
            ],
            mirrored,
            self.vocabulary,
            self.recipe.max_words,
        )
        if self.recipe.self_critical:
            captions = replace(
                captions,
                texts=_mirror([entry.captions for entry in entries], mirrored),
                lookalikes=_mirror([self._lookalike_captions(item) for item in batch], mirrored),
            )
        if self.cached:
            rows = [self._train_features[i.dataset]([i.index], [i.view]) for i in batch]
            return torch.cat(rows), captions
        pictures = [
            augment(self.sets[item.dataset].picture(entry), item.view, seed, self.recipe.crops)
            for item, entry, seed in zip(batch, entries, seeds, strict=True)
        ]
        return torch.from_numpy(self.preprocessing(pictures)), captions

    def _build_vocabulary(self) -> Vocabulary:
        if self.recipe.keep_vocabulary and self.recipe.initial_weights:
            folder = Path(self.recipe.initial_weights)
            if not folder.joinpath(CONFIG).is_file():
                raise ValueError(f"{KEPT_FROM_A_BUNDLE}, and there is none in {folder}")
            return load_bundle(folder, CaptionerConfig).vocabulary
        return Vocabulary.build(
            (text for entries in self.train for entry in entries for text in entry.captions),
            min_count=self.recipe.min_count,
        )

    def _read_lookalikes(self, path: str | None, entries: Sequence[Entry]) -> list[list[int]]:
        """Read which entries look like each; nothing if rewards do not need it."""
        rewards = self.recipe.self_critical
        if path is None or rewards is None or rewards.lookalike_share == 0:
            return []
        return read_lookalikes(data_path(path), entries, rewards.lookalikes)

    def _lookalike_captions(self, item: Item) -> list[str]:
        if not self.lookalikes[item.dataset]:
            return []
        entries = self.train[item.dataset]
        others = self.lookalikes[item.dataset][item.index]
        return [text for index in others for text in entries[index].captions]

    def validation_batch(self, dataset: int, start: int, stop: int) -> Tensor:
        """Read the grids (or pixels) of validation pictures `start` to `stop` of a set."""
        if self.cached:
            return self._validation_features[dataset](range(start, stop), [0] * (stop - start))
        entries = self.validation[dataset][start:stop]
        pictures = [self.sets[dataset].picture(entry) for entry in entries]
        return torch.from_numpy(self.preprocessing(pictures))


def _mirror(texts: Sequence[Sequence[str]], mirrored: Sequence[bool]) -> list[list[str]]:
    """Swap left and right in the sentences about mirrored pictures."""
    return [
        [mirror_caption(text) if swap else text for text in sentences]
        for sentences, swap in zip(texts, mirrored, strict=True)
    ]


class Batches(Dataset[tuple[Tensor, CaptionBatch]]):
    """One process's share of an epoch's remaining batches, for a DataLoader."""

    def __init__(
        self,
        data: TrainingData,
        epoch: int,
        batches: Sequence[Sequence[Item]],
        rank: int,
        processes: int,
    ) -> None:
        self._data = data
        self._epoch = epoch
        self._batches = batches
        self._rank, self._processes = rank, processes

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, position: int) -> tuple[Tensor, CaptionBatch]:
        batch = self._batches[position]
        if share := batch[self._rank :: self._processes]:
            return self._data.load(share, self._epoch)
        # The last batch may be smaller than the number of processes: this one then reads nothing.
        pictures, captions = self._data.load(batch[:1], self._epoch)
        return pictures, replace(captions, reads=torch.zeros_like(captions.reads))
