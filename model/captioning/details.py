"""Put captions into words, with what was asked about each word: attention, image gain, rivals."""

from collections.abc import Sequence
from dataclasses import dataclass

from model.arrays import Array
from model.captioning.caption import MOST_TOP_LOGPROBS, Caption
from model.captioning.consensus import RankedHypothesis
from model.captioning.image_gain import image_gain
from model.captioning.scoring import CaptionReading, read_captions
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
    gains = iter(_image_gains(runner, ranked, mean_context if details.image_gain else None))

    def build(one: RankedHypothesis, reading: CaptionReading | None) -> Caption:
        return Caption.of(
            one.hypothesis,
            vocabulary,
            confidence=one.confidence,
            agreement=one.agreement,
            attention=reading.attention if reading and details.attention else None,
            image_gain=next(gains),
            top=reading.likeliest if reading else None,
        )

    captions: list[list[Caption]] = []
    for picture, best in zip(grid[:, None], ranked, strict=True):
        readings: Sequence[CaptionReading | None] = [None] * len(best)
        if details.attention or details.top_logprobs:
            tokens = [one.hypothesis.tokens for one in best]
            readings = read_captions(runner, picture, tokens, details.top_logprobs)
        captions.append([build(*pair) for pair in zip(best, readings, strict=True)])
    return captions


def _image_gains(
    runner: Runner,
    ranked: Sequence[Sequence[RankedHypothesis]],
    mean_context: ImageContext | None,
) -> Sequence[list[float] | None]:
    """Return the image gain of every word of each caption in turn; None without a mean picture."""
    hypotheses = [one.hypothesis for best in ranked for one in best]
    if mean_context is None:
        return [None] * len(hypotheses)
    return image_gain(
        runner,
        mean_context,
        [hypothesis.tokens for hypothesis in hypotheses],
        [hypothesis.logprobs for hypothesis in hypotheses],
    )
