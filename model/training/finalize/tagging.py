"""Calibrate the probabilities of tags on pictures that the captioner has not seen.

Logistic regression (Platt 1999) of whether one of five people says a word, on the detector's
evidence and on how usual the word is.
"""

from collections.abc import Sequence

import numpy as np
import torch

from model.arrays import to_numpy
from model.captioning.captioner import Captioner
from model.captioning.word_kinds import word_kind
from model.config import TaggingConfig
from model.data.karpathy import CaptionDataset
from model.evaluation.tags import PEOPLE, said_words
from model.reporting.progress import batches
from model.training.finalize.calibration import fit_logistic
from model.training.finalize.training_pictures import some_entries
from model.vocabulary import Vocabulary

__all__ = ["calibrate_tags"]

_FIRST = Vocabulary.unknown_id + 1  # id of the first word that is detected


def calibrate_tags(
    captioner: Captioner,
    datasets: Sequence[CaptionDataset],
    *,
    split: str = "val",
    limit: int | None = None,
    batch_size: int = 32,
    progress: bool = True,
) -> TaggingConfig | None:
    """Fit the probabilities of tags; None if the captioner has no word detector.

    Words that are no tags do not count.

    Args:
        captioner: trained.
        datasets: each with the split.
        split: one that was not trained on; pictures with fewer than five captions are left out.
        limit: the most pictures of each set, evenly spread; None takes all.
        batch_size: pictures that are encoded together.
        progress: whether to show a progress bar on standard error.

    Raises:
        ValueError: a set has no such split, no picture has five captions, or the fit does not
            converge.
    """
    usual = captioner.runner.usual_words
    if usual is None:
        return None
    words = captioner.vocabulary.tokens[_FIRST : _FIRST + len(usual)]
    places = [
        place
        for place, word in enumerate(words)
        if word_kind(word) is not None and np.isfinite(usual[place])
    ]
    ids = [_FIRST + place for place in places]
    evidence, said = [], []
    for dataset in datasets:
        entries = [
            entry for entry in some_entries(dataset, split, limit) if len(entry.captions) >= PEOPLE
        ]
        for batch in batches(entries, batch_size, what="Tags", show=progress):
            grid = captioner.encode(captioner.prepare([dataset.picture(one) for one in batch]))
            found = captioner.runner.encode_context(grid).evidence
            evidence.append(to_numpy(found)[:, ids].astype(np.float64))
            for entry in batch:
                spoken = said_words(entry.captions)
                said.append([words[place] in spoken for place in places])
    if not said:
        raise ValueError(f"no picture of {split!r} has {PEOPLE} captions: tags need some that have")
    outcomes = torch.tensor(said, dtype=torch.float64).flatten()
    if not 0 < outcomes.sum() < len(outcomes):
        raise ValueError("people's captions say all of the detected words, or none of them")
    odds = np.concatenate(evidence)  # (pictures, words)
    features = np.stack([odds, np.broadcast_to(usual[places], odds.shape)], axis=-1)
    table = torch.from_numpy(features.reshape(-1, 2))
    coefficients, intercept = fit_logistic(table, outcomes)
    by_evidence, by_usual = coefficients.tolist()
    if by_evidence <= 0:
        raise ValueError("the detector's evidence speaks against what people say: train it longer")
    return TaggingConfig(evidence=by_evidence, usual=by_usual, intercept=intercept)
