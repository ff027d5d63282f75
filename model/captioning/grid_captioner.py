"""Encoded pictures to captions: decoder, search and reranking put together.

A picture's grid is what the encoder makes of it (rows, columns, channels). The service encodes and
searches in batches of its own, so these are steps apart.
"""

from collections.abc import Callable, Sequence
from typing import Any

from array_api_compat import array_namespace

from model.arrays import Array, to_numpy
from model.captioning.base import CaptionerBase
from model.captioning.caption import Caption
from model.captioning.details import Details, build_captions
from model.captioning.ranking import add_confidence
from model.captioning.search import find_hypotheses
from model.captioning.tags import Tag
from model.config import DecodingConfig
from model.decoding.hypothesis import RankedHypothesis
from model.decoding.search_trace import SearchRecorder, SearchTrace

__all__ = ["GridCaptioner"]


class GridCaptioner(CaptionerBase):
    """A captioner of encoded pictures."""

    def encode(self, pixels: Array) -> Array:
        """Run the encoder: (batch, 3, size, size) -> (batch, rows, columns, channels)."""
        return self.runner.encode(pixels)

    def search(
        self,
        grid: Array,
        decoding: DecodingConfig | None = None,
        *,
        attention: bool = False,
        image_gain: bool = False,
        top_logprobs: int = 0,
        recorder: SearchRecorder | None = None,
        cancelled: Callable[[], bool] = lambda: False,
        **options: Any,
    ) -> list[list[Caption]]:
        """Find the captions of encoded pictures, see `Captioner.caption`.

        Args:
            grid: (batch, rows, columns, channels)
            decoding, attention, image_gain, top_logprobs, options: as in `Captioner.caption`.
            recorder: records the steps of the search for `traces`, if there is one.
            cancelled: asked before every step.

        Raises:
            UnsupportedOption: the bundle lacks what an option needs.
            ValueError: an option is unknown or out of range.
            DecodingCancelled: `cancelled` returned True.
        """
        decoding = self._merge(decoding, options)
        self.check_support(decoding, image_gain=image_gain, trace=recorder is not None)
        details = Details(attention, image_gain, top_logprobs)
        found = find_hypotheses(
            self.runner,
            self.vocabulary,
            grid,
            decoding,
            reranker=self.reranker,
            cancelled=cancelled,
            recorder=recorder,
        )
        ranked = add_confidence(found, decoding, self.config.calibration)
        return self._build(grid, ranked, details)

    def traces(
        self, recorder: SearchRecorder, found: Sequence[Sequence[Caption]]
    ) -> list[SearchTrace]:
        """Return every step of a search that was recorded, for each picture.

        Args:
            recorder: that `search` was given.
            found: what it returned.
        """
        returned = [
            [[token.token for token in caption.tokens] for caption in captions]
            for captions in found
        ]
        return recorder.traces(self.vocabulary.tokens, returned)

    def tags(self, grid: Array) -> list[list[Tag]]:
        """Return the words that the word detector finds in encoded pictures, likeliest first.

        Args:
            grid: (batch, rows, columns, channels)

        Raises:
            UnsupportedOption: the bundle has no word detector, or no calibration of it.
        """
        self.check_support(DecodingConfig(), tags=True)
        evidence = self.runner.encode_context(grid).evidence
        assert self._tagger is not None  # noqa: S101 - `check_support` has looked
        xp = array_namespace(evidence)
        return list(map(self._tagger, to_numpy(xp.astype(evidence, xp.float32))))

    def _merge(self, decoding: DecodingConfig | None, options: dict[str, Any]) -> DecodingConfig:
        if decoding is not None and not isinstance(decoding, DecodingConfig):
            raise TypeError(
                f"decoding must be a DecodingConfig, not {type(decoding).__name__}: give single "
                "options by name, such as beam_size=5"
            )
        return (decoding or self.config.decoding).merge(**options)

    def _build(
        self, grid: Array, ranked: list[list[RankedHypothesis]], details: Details
    ) -> list[list[Caption]]:
        return build_captions(
            self.runner,
            self.vocabulary,
            grid,
            ranked,
            details,
            mean_context=self._mean_context,
        )
