"""Whether a text describes a picture: evidence for it, and the chance that it does.

    chance = sigmoid(intercept + sum of coefficient x feature)

A sentence that the captioner finds likely may only be a usual one, and a sentence that it finds
unlikely may only be worded otherwise. What tells texts of this picture from texts of another is how
much likelier the picture makes them (the image gain), and whether it has the words that people
would use (the agreement). `model.evaluation.matching` measures each, and fits the numbers.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from array_api_compat import array_namespace

from model.arrays import Array
from model.captioning.calibration import LEAST_AGREEMENT
from model.captioning.captioner import Captioner
from model.captioning.image_gain import image_gain
from model.captioning.scoring import score_batch
from model.vocabulary import Vocabulary

__all__ = ["COEFFICIENTS", "FEATURES", "INTERCEPT", "Evidence", "Matcher", "estimate_match"]


@dataclass(frozen=True)
class Evidence:
    """The evidence that a text describes a picture.

    Attributes:
        mean_logprob: of its tokens given the picture, the end token's included.
        image_gain: how many nats a token of that the picture gives, see
            `model.captioning.image_gain`.
        agreement: with the words that people would use, 0 to 1, see
            `model.captioning.consensus`.
        unknown: the share of its words that the captioner does not know, 0 to 1.
    """

    mean_logprob: float
    image_gain: float
    agreement: float
    unknown: float

    @property
    def features(self) -> tuple[float, float, float]:
        """The numbers that `FEATURES` names."""
        agreement = math.log(max(self.agreement, LEAST_AGREEMENT))
        return self.mean_logprob, self.image_gain, agreement


FEATURES = ("mean_logprob", "image_gain", "log_agreement")

# Fitted by `unrolled evaluate audit` with the shipped captioner, to 200 pictures of Flickr8k's
# validation split. The log-probability adds nothing to the other two.
INTERCEPT = 2.755
COEFFICIENTS = {"image_gain": 2.942, "log_agreement": 1.341}


class Matcher:
    """Compares texts with pictures, by what a captioner finds likely.

    Args:
        captioner: with a mean picture and a table of expected words.

    Raises:
        ValueError: it lacks one of them.
    """

    def __init__(self, captioner: Captioner) -> None:
        if captioner.mean_context is None or captioner.reranker is None:
            raise ValueError(
                "comparing texts with pictures needs a mean picture and a table of expected "
                f"words, which the captioner {captioner.config.name!r} lacks: `unrolled finalize "
                "captioner` adds them"
            )
        self.captioner = captioner
        self._mean_context = captioner.mean_context
        self._reranker = captioner.reranker

    def compare(self, grid: Array, texts: Sequence[Sequence[str]]) -> list[list[Evidence]]:
        """Return the evidence for texts, which may be about any picture, about these.

        Args:
            grid: of the pictures, encoded (batch, rows, columns, channels).
            texts: for each picture; cut into words as the training captions were.
        """
        runner, vocabulary = self.captioner.runner, self.captioner.vocabulary
        words = [[vocabulary.encode(text) for text in each] for each in texts]
        captions = [[[*ids, vocabulary.end_id] for ids in each] for each in words]
        logprobs = score_batch(runner, runner.encode_context(grid), captions)
        gains = iter(
            image_gain(runner, self._mean_context, list(chain(*captions)), list(chain(*logprobs)))
        )
        features = array_namespace(grid).mean(grid, axis=(1, 2))  # (batch, channels)
        agreements = self._reranker.agreements(features, captions)
        return [
            [
                Evidence(_mean(given), _mean(next(gains)), agreement, _unknown_share(ids))
                for ids, given, agreement in zip(*picture, strict=True)
            ]
            for picture in zip(words, logprobs, agreements, strict=True)
        ]


def estimate_match(evidence: Evidence) -> float:
    """Return the chance, 0 to 1, that a text is of a picture, if half of all texts were."""
    features = dict(zip(FEATURES, evidence.features, strict=True))
    score = INTERCEPT + math.fsum(features[name] * each for name, each in COEFFICIENTS.items())
    return 0.5 * (1 + math.tanh(score / 2))


def _mean(numbers: Sequence[float]) -> float:
    return math.fsum(numbers) / len(numbers)


def _unknown_share(words: Sequence[int]) -> float:
    return words.count(Vocabulary.unknown_id) / max(1, len(words))
