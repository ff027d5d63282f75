"""How usual the words are for which a decoder has evidence."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.vocabulary import Vocabulary

__all__ = ["usual_words"]

_FIRST = Vocabulary.unknown_id + 1  # id of the commonest word


def usual_words(tensors: Mapping[str, NDArray[Any]]) -> NDArray[np.float32] | None:
    """Return the log-odds of each word for any picture, from the weights of a captioner.

    Returns:
        The log-odds, of the commonest word first; minus infinity for words without evidence
        (words,). None without a word detector.
    """
    detected = tensors.get("decoder.detector.usual")
    if detected is None:
        return None
    named = tensors.get("decoder.class_names.words", np.empty(0, np.int64)) - _FIRST
    usual = np.full(max(len(detected), named.max(initial=-1) + 1), -np.inf, dtype=np.float32)
    if len(named):
        usual[named] = tensors["decoder.class_names.usual"]
    usual[: len(detected)] = detected
    return usual
