"""Caption the frames of a clip, and find the caption that fits all of them.

    score = mean over the frames of (agreement + likelihood x mean_logprob) + rarity x R

The captions of the frames are the candidates for the whole. Each is scored on every frame as a
caption of a picture is, by the consensus of `model.captioning.consensus`, and the best mean wins:
for a clip that stands still, that is the caption of its picture. Without expected words, or
without consensus, the score is `logprob / length ** length_penalty`. A frame counts as often as its
weight says.

Taking the likeliest caption of any one frame would choose the frame that is easiest to describe;
counting which caption comes most often fails as soon as each frame is worded differently. Scoring
every caption on every frame needs one more pass of the decoder for each frame.

What the clip's caption says is true of single pictures: the captioner sees no motion, hears
nothing, and does not know the order of frames.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from array_api_compat import array_namespace

from model.arrays import Array
from model.captioning.caption import Caption
from model.captioning.scoring import score_tokens
from model.decoding.hypothesis import Hypothesis

if TYPE_CHECKING:
    from model.captioning.captioner import Captioner
    from model.captioning.tags import Tag
    from model.config import DecodingConfig
    from model.preprocessing import Pixels

__all__ = ["CaptionedClip", "caption_clip"]

# Frames that are encoded and searched at once: others have their turn in between.
_AT_ONCE = 4

# Candidates for the whole clip: the cost of scoring grows with their number times that of frames.
_MOST_CANDIDATES = 12


@dataclass
class CaptionedClip:
    """The captions of a clip.

    Attributes:
        captions: of the whole clip, best first. Log-probabilities and `agreement` are means over
            the frames; there is no confidence, which is calibrated for pictures. If there is one
            frame, they are its own.
        frames: of each frame, as `Captioner.search` returns them.
        tags: of each frame, if they were asked for.
        encode_seconds, search_seconds: how long the models worked.
    """

    captions: list[Caption] = field(default_factory=list)
    frames: list[list[Caption]] = field(default_factory=list)
    tags: list[list[Tag]] | None = None
    encode_seconds: float = 0.0
    search_seconds: float = 0.0


def caption_clip(
    captioner: Captioner,
    pixels: Pixels,
    decoding: DecodingConfig,
    *,
    weights: Sequence[int] | None = None,
    attention: bool = False,
    image_gain: bool = False,
    top_logprobs: int = 0,
    tags: bool = False,
) -> Generator[None, None, CaptionedClip]:
    """Caption a clip incrementally: others can have a turn after a few frames.

    Args:
        captioner: to use.
        pixels: of its frames, see `Captioner.prepare`; at least one.
        decoding: how captions are found.
        weights: how often each frame counts for the whole; None counts each once.
        attention, image_gain, top_logprobs, tags: what the captions of the frames are to have, see
            `Captioner.search` and `Captioner.tags`.

    Raises:
        ValueError: the captioner lacks what an option needs.
    """
    result = CaptionedClip(tags=[] if tags else None)
    grids: list[Array] = []
    for start in range(0, len(pixels), _AT_ONCE):
        started = time.perf_counter()
        grid = captioner.encode(pixels[start : start + _AT_ONCE])
        captioner.runner.synchronize()
        encoded = time.perf_counter()
        result.frames += captioner.search(
            grid,
            decoding,
            attention=attention,
            image_gain=image_gain,
            top_logprobs=top_logprobs,
        )
        if result.tags is not None:
            result.tags += captioner.tags(grid)
        grids += [grid[i : i + 1] for i in range(len(grid))]
        result.encode_seconds += encoded - started
        result.search_seconds += time.perf_counter() - encoded
        yield
    if len(grids) == 1:
        result.captions = result.frames[0]
        return result
    ranking = _Ranking(captioner, decoding, result.frames, weights or [1] * len(grids))
    for grid in grids:
        started = time.perf_counter()
        ranking.read(grid)
        result.search_seconds += time.perf_counter() - started
        yield
    result.captions = ranking.best()
    return result


class _Ranking:
    """The candidates for a clip, while its frames are read.

    Args:
        captioner, decoding: that found the captions.
        frames: the captions of each frame.
        weights: how often each frame counts.
    """

    def __init__(
        self,
        captioner: Captioner,
        decoding: DecodingConfig,
        frames: Sequence[Sequence[Caption]],
        weights: Sequence[int],
    ) -> None:
        self._captioner, self._decoding, self._weights = captioner, decoding, weights
        ids = {token: number for number, token in enumerate(captioner.vocabulary.tokens)}
        found: dict[tuple[tuple[int, ...], bool], tuple[int, float]] = {}
        for captions, weight in zip(frames, weights, strict=True):
            for place, caption in enumerate(captions):
                key = tuple(ids[token.token] for token in caption.tokens), caption.finished
                times, highest = found.get(key, (0, caption.mean_logprob))
                times += 0 if place else weight  # as often as it is the best
                found[key] = times, max(highest, caption.mean_logprob)
        self._candidates = sorted(found, key=found.__getitem__, reverse=True)[:_MOST_CANDIDATES]
        self._logprobs: list[list[list[float]]] = []  # of each frame, candidate and token
        self._agreements: list[list[float]] = []  # of each frame and candidate

    def read(self, grid: Array) -> None:
        """Score all candidates on the next frame (1, rows, columns, channels)."""
        tokens = [tokens for tokens, _ in self._candidates]
        runner, reranker = self._captioner.runner, self._captioner.reranker
        self._logprobs.append(score_tokens(runner, runner.encode_context(grid), tokens))
        if reranker is not None:
            features = array_namespace(grid).mean(grid, axis=(1, 2))  # (1, channels)
            self._agreements += reranker.agreements(features, [tokens])

    def best(self) -> list[Caption]:
        """Return the candidates that fit the frames best, when all have been read."""
        ranked = sorted(map(self._rate, range(len(self._candidates))), key=_rank, reverse=True)
        return [caption for _, caption in ranked[: self._decoding.num_captions]]

    def _rate(self, index: int) -> tuple[float, Caption]:
        tokens, finished = self._candidates[index]
        of_frames = [frame[index] for frame in self._logprobs]
        logprobs = tuple(np.average(of_frames, axis=0, weights=self._weights).tolist())
        hypothesis = Hypothesis(tokens, logprobs, finished)
        reranker, agreement = self._captioner.reranker, None
        score = hypothesis.score(self._decoding.length_penalty)
        if reranker is not None:
            agreements = [frame[index] for frame in self._agreements]
            agreement = float(np.average(agreements, weights=self._weights))
            if self._decoding.consensus:
                mean_logprob = hypothesis.logprob / len(tokens)
                score = reranker.score(agreement, mean_logprob, reranker.rarity(tokens))
        return score, Caption.of(hypothesis, self._captioner.vocabulary, agreement=agreement)


def _rank(rated: tuple[float, Caption]) -> tuple[bool, float]:
    score, caption = rated
    return caption.finished, score
