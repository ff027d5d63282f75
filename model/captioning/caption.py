"""A caption and its tokens, as a captioner returns them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from model.decoding.hypothesis import Hypothesis
from model.vocabulary import Vocabulary

__all__ = ["MOST_TOP_LOGPROBS", "Caption", "Grid", "Token", "TopToken"]

MOST_TOP_LOGPROBS = 20  # at a place of a caption

Grid = tuple[tuple[float, ...], ...]  # rows x columns


@dataclass(frozen=True)
class TopToken:
    """What could have been said at some place of a caption, with its log-probability there."""

    token: str
    logprob: float


@dataclass(frozen=True)
class Token:
    """One word of a caption, or the end token.

    `logprob` is the natural logarithm of its probability given the picture and the words before
    it; `attention`, if asked for, says where the decoder looked: rows x columns with a sum of 1;
    `image_gain`, if asked for, how many nats of `logprob` come from the picture (see
    `model.captioning.image_gain`); `top`, if asked for, the likeliest tokens at its place, which
    may or may not include it.
    """

    token: str
    logprob: float
    attention: Grid | None = None
    image_gain: float | None = None
    top: tuple[TopToken, ...] | None = None


@dataclass(frozen=True)
class Caption:
    """A sentence about a picture.

    `logprob` is the sum of the tokens' log-probabilities, the end token's included, and
    `mean_logprob` that over the number of tokens. A caption that is not `finished` was cut at the
    greatest length. If a search found the caption, and the bundle supports it, `confidence` is the
    chance that it is good, 0 to 1 (see `model.captioning.calibration`; only for finished captions),
    and `agreement` how well it agrees with the words that people would use, 0 to 1 (see
    `model.captioning.consensus`). `alt_text`, if asked for, is the text as a sentence for people
    who cannot see the picture (see `model.captioning.wording`).
    """

    text: str
    logprob: float
    mean_logprob: float
    finished: bool
    tokens: tuple[Token, ...]
    confidence: float | None = None
    agreement: float | None = None
    alt_text: str | None = None

    @classmethod
    def of(
        cls,
        hypothesis: Hypothesis,
        vocabulary: Vocabulary,
        *,
        confidence: float | None = None,
        agreement: float | None = None,
        attention: Sequence[Grid] | None = None,
        image_gain: Sequence[float] | None = None,
        top: Sequence[Sequence[tuple[int, float]]] | None = None,
    ) -> Self:
        """Put a hypothesis into words; the last three have one item per token.

        `top` are token ids with their log-probabilities.
        """
        likeliest = None
        if top is not None:
            words = vocabulary.tokens
            likeliest = [tuple(TopToken(words[i], number) for i, number in one) for one in top]
        nothing = [None] * len(hypothesis.tokens)
        return cls(
            text=vocabulary.decode(hypothesis.tokens),
            logprob=hypothesis.logprob,
            mean_logprob=hypothesis.logprob / len(hypothesis.tokens),
            finished=hypothesis.finished,
            tokens=tuple(
                Token(vocabulary.tokens[token], logprob, grid, nats, others)
                for token, logprob, grid, nats, others in zip(
                    hypothesis.tokens,
                    hypothesis.logprobs,
                    attention or nothing,
                    image_gain or nothing,
                    likeliest or nothing,
                    strict=True,
                )
            ),
            confidence=confidence,
            agreement=agreement,
        )
