"""Put captions into words, with what was asked about each word: attention, image gain, rivals."""

from collections.abc import Sequence
from dataclasses import dataclass

from model.arrays import Array
from model.captioning.caption import MOST_TOP_LOGPROBS, Caption
from model.captioning.scoring import CaptionReading, read_captions
from model.decoding.hypothesis import RankedHypothesis
from model.networks.image_context import ImageContext
from model.runtime.base import Runner
from model.vocabulary import Vocabulary

__all__ = ["Details", "build_captions"]


@dataclass(frozen=True)
class Details:
    """What to say of each word besides its log-probability, see `Token`.

    Raises:
        ValueError: `top_logprobs` is not 0 to 20.
    """

    attention: bool = False
    image_gain: bool = False
    top_logprobs: int = 0

    @property
    def asked(self) -> bool:
        """Whether there is anything to say that the search has not found."""
        return self.attention or self.image_gain or self.top_logprobs > 0

    def __post_init__(self) -> None:
        count = self.top_logprobs
        if not isinstance(count, int) or not 0 <= count <= MOST_TOP_LOGPROBS:
            raise ValueError(f"top_logprobs must be 0 to {MOST_TOP_LOGPROBS}, not {count}")


def build_captions(
    runner: Runner,
    vocabulary: Vocabulary,
    grid: Array,
    ranked: Sequence[Sequence[RankedHypothesis]],
    details: Details,
    *,
    mean_context: ImageContext | None,
) -> list[list[Caption]]:
    """Put the hypotheses of each picture into words, with the details.

    Args:
        runner, vocabulary: of the captioner.
        grid: encoded pictures (batch, rows, columns, channels).
        ranked: hypotheses of each picture.
        details: what to say of each word.
        mean_context: of the captioner; the image gain needs it.
    """
    readings: Sequence[Sequence[CaptionReading | None]] = [[None] * len(best) for best in ranked]
    if details.asked and any(ranked):
        readings = read_captions(
            runner,
            runner.encode_context(grid),
            [[one.hypothesis.tokens for one in best] for best in ranked],
            grid.shape[1:3],
            top=details.top_logprobs,
            other=mean_context if details.image_gain else None,
        )

    def build(one: RankedHypothesis, reading: CaptionReading | None) -> Caption:
        return Caption.of(
            one.hypothesis,
            vocabulary,
            confidence=one.confidence,
            agreement=one.agreement,
            attention=reading.attention if reading and details.attention else None,
            image_gain=_image_gain(one, reading),
            top=reading.likeliest if reading else None,
        )

    return [
        [build(*pair) for pair in zip(*of_picture, strict=True)]
        for of_picture in zip(ranked, readings, strict=True)
    ]


def _image_gain(one: RankedHypothesis, reading: CaptionReading | None) -> list[float] | None:
    """Return what the picture gives to every token, see `model.captioning.image_gain`."""
    if reading is None or reading.elsewhere is None:
        return None
    pairs = zip(one.hypothesis.logprobs, reading.elsewhere, strict=True)
    return [given - without for given, without in pairs]
