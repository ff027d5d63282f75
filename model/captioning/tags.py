"""Tags of a picture: the words for which there is evidence in it, with calibrated probabilities.

    probability = sigmoid(evidence x E + usual x U + intercept)

E is the evidence for a word (see `model.networks.word_detector` and `model.networks.class_names`)
and U the log-odds of that word for any picture. `model.training.finalize.tagging` fits the three
numbers.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.captioning.word_kinds import WordKind, word_kind
from model.config import TaggingConfig
from model.vocabulary import Vocabulary

__all__ = ["LEAST_PROBABILITY", "MOST_TAGS", "Tag", "Tagger"]

LEAST_PROBABILITY = 0.1
MOST_TAGS = 30

_FIRST = Vocabulary.unknown_id + 1  # id of the first word that is detected


@dataclass(frozen=True)
class Tag:
    """A word that a picture suggests.

    `probability` is the chance that at least one of five people who describe the picture uses it.
    """

    word: str
    probability: float
    kind: WordKind


class Tagger:
    """Turns a word detector's evidence into tags.

    Args:
        usual: log-odds of each word for any picture; minus infinity if it is not detected (words,).
        config: the calibration.
        vocabulary: of the captioner.
    """

    def __init__(
        self, usual: NDArray[np.float32], config: TaggingConfig, vocabulary: Vocabulary
    ) -> None:
        self._usual = usual.astype(np.float64)
        self._config = config
        self._words = vocabulary.tokens[_FIRST : _FIRST + len(usual)]
        self._kinds = [word_kind(word) for word in self._words]

    def probabilities(self, evidence: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the probability of each word: (..., vocabulary) -> (..., words)."""
        detected = evidence[..., _FIRST : _FIRST + len(self._usual)].astype(np.float64)
        config = self._config
        odds = config.evidence * detected + config.usual * self._usual + config.intercept
        probabilities: NDArray[np.float64] = 0.5 * (1 + np.tanh(odds / 2))  # never overflows
        return np.where(np.isfinite(self._usual), probabilities, 0)

    def __call__(self, evidence: NDArray[np.floating]) -> list[Tag]:
        """Return a picture's tags, likeliest first: at most 30, each with a tenth or more.

        Args:
            evidence: from the word detector, for one picture (vocabulary,).
        """
        probabilities = self.probabilities(evidence)
        tags: list[Tag] = []
        for place in np.argsort(-probabilities, kind="stable"):
            if probabilities[place] < LEAST_PROBABILITY or len(tags) == MOST_TAGS:
                break
            if (kind := self._kinds[place]) is not None:
                tags.append(Tag(self._words[place], float(probabilities[place]), kind))
        return tags
