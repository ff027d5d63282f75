"""Build the neighbour index of the training pictures, for the consensus reranker.

It holds principal components of the features, and the mean TF-IDF vector of each picture's
captions. `model.captioning.consensus` uses it.
"""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from model.captioning.neighbours import MAX_ORDER, NeighbourIndex, ngram_key
from model.evaluation.cider import Cider, DocumentFrequencies
from model.evaluation.ngrams import Ngram
from model.vocabulary import Vocabulary, split

__all__ = ["build_neighbour_index"]

_MOST_NGRAMS = 2**16  # so that two bytes number one


def build_neighbour_index(
    features: Tensor,
    captions: Sequence[Sequence[str]],
    vocabulary: Vocabulary,
    *,
    dimensions: int = 64,
    min_pictures: int = 5,
) -> NeighbourIndex:
    """Build the index from pictures with people's captions.

    Args:
        features: the mean of each picture's encoder grid (pictures, channels).
        captions: of each picture, at least one.
        vocabulary: of the captioner. N-grams with words outside it are dropped, since no caption
            of the captioner can have them.
        dimensions: the most principal components that are kept.
        min_pictures: n-grams in the captions of fewer pictures are dropped.

    Raises:
        ValueError: the vocabulary is too large for n-grams to be numbered.
    """
    if (len(vocabulary) + 1) ** MAX_ORDER > np.iinfo(np.int64).max:
        raise ValueError(f"a vocabulary of {len(vocabulary)} tokens is too large for a consensus")
    mean, basis, directions = _principal_components(features, dimensions)
    words = [[split(caption, vocabulary.level) for caption in each] for each in captions]
    frequencies = DocumentFrequencies.of(words)
    cider = Cider(frequencies, variant="CIDEr")
    kept = _keep(frequencies, vocabulary, min_pictures)
    column = {gram: index for index, (_, gram) in enumerate(kept)}
    starts, columns, weights = [0], list[int](), list[float]()
    for each in words:
        entries: defaultdict[int, float] = defaultdict(float)
        for caption in each:
            vector = cider.vector(caption)
            for order, norm in zip(vector.weights, vector.norms, strict=True):
                for gram, weight in order.items():
                    if gram in column and norm > 0:
                        entries[column[gram]] += weight / norm / len(each)
        columns += sorted(entries)
        weights += [entries[index] for index in sorted(entries)]
        starts.append(len(columns))
    rarity = np.log(frequencies.pictures / np.array([frequencies.counts[g] for _, g in kept]))
    return NeighbourIndex(
        mean=mean.half().numpy(),
        basis=basis.half().numpy(),
        pictures=directions.numpy(),
        ngrams=np.array([key for key, _ in kept], np.int64),
        rarity=rarity.astype(np.float32),
        unseen=np.array([np.log(frequencies.pictures)], np.float32),
        starts=np.array(starts, np.int32),
        columns=np.array(columns, np.uint16),
        weights=np.array(weights, np.float16),
    )


def _principal_components(features: Tensor, dimensions: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the mean (channels,), the axes (channels, dimensions) and each direction, in int8."""
    table = features.double()
    mean = table.mean(0)
    centred = table - mean
    _, axes = torch.linalg.eigh(centred.T @ centred)  # of rising variance
    basis = axes[:, -dimensions:].flip(1)
    projected = centred @ basis
    largest = projected.abs().amax(1, keepdim=True).clamp(min=1e-12)
    return mean, basis.contiguous(), (127 * projected / largest).round().to(torch.int8)


def _keep(
    frequencies: DocumentFrequencies, vocabulary: Vocabulary, min_pictures: int
) -> list[tuple[int, Ngram]]:
    """Return the most frequent n-grams with their keys, ordered by key."""
    known = [
        (gram, count)
        for gram, count in frequencies.counts.items()
        if count >= min_pictures and all(word in vocabulary for word in gram)
    ]
    known.sort(key=lambda item: (-item[1], item[0]))
    separator = " " if vocabulary.level == "word" else ""
    return sorted(
        (ngram_key(vocabulary.encode(separator.join(gram)), len(vocabulary)), gram)
        for gram, _ in known[:_MOST_NGRAMS]
    )
