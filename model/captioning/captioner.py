"""Photographs to captions, with the log-probability of every word.

    captioner = Captioner.load()
    for caption in captioner.caption("photo.jpg", beam_size=3, num_captions=3):
        print(caption.logprob, caption.text)

It stands on `grid_captioner.py`, which captions encoded pictures, and that on `base.py`, which
reads a captioner from its bundle.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self, overload

from PIL import Image

from model.arrays import Array
from model.bundle.discovery import SHIPPED_WEIGHTS
from model.bundle.read import load_bundle
from model.captioning.caption import Caption
from model.captioning.details import Details
from model.captioning.grid_captioner import GridCaptioner
from model.captioning.photograph import Photograph, open_photograph
from model.captioning.scoring import CaptionStates, read_states, score_tokens
from model.captioning.self_test import GoldenPicture, check_golden
from model.captioning.wording import WordingConfig, reword
from model.config import CaptionerConfig, DecodingConfig
from model.decoding.hypothesis import Hypothesis, RankedHypothesis
from model.decoding.search_trace import SearchRecorder, SearchTrace
from model.preprocessing import Pixels
from model.runtime.options import PrecisionChoice, Runtime

__all__ = ["Captioner"]


class Captioner(GridCaptioner):
    """A trained network that captions photographs; for one thread at a time."""

    @classmethod
    def load(
        cls,
        path: str | Path | None = None,
        device: str = "auto",
        *,
        runtime: Runtime = "auto",
        threads: int | None = None,
        precision: PrecisionChoice = "float32",
        self_test: bool = False,
    ) -> Self:
        """Load a bundle.

        Args:
            path: the bundle's folder; None loads the shipped captioner.
            device: `auto`, or any that PyTorch knows (`cpu`, `cuda`, `cuda:1`, `mps`).
            runtime: what executes the network, see `model.runtime.select`. `auto` takes the
                fastest; `torch` makes the network available, to be trained or looked at.
            threads: on a CPU; None leaves it to the runtime.
            precision: of most arithmetic; less than single precision is faster on some machines,
                and changes log-probabilities in the second digit. `auto` takes the device's usual
                one, see `choose_precision`.
            self_test: whether to caption its golden pictures, see `self_test`.

        Raises:
            BundleError: the bundle cannot be used, or fails its self-test; the message says why.
            ValueError: there is no such device, or the runtime does not support it.
        """
        folder = SHIPPED_WEIGHTS / "captioner" if path is None else path
        bundle = load_bundle(folder, CaptionerConfig)
        captioner = cls.from_bundle(
            bundle, device, runtime=runtime, threads=threads, precision=precision
        )
        if self_test:
            captioner.self_test()
        return captioner

    def self_test(self) -> int:
        """Caption the bundle's golden pictures with its default decoding, and compare.

        Returns:
            How many there are; a bundle may have none.

        Raises:
            BundleError: a caption differs, see `check_golden`.
        """

        def caption(golden: GoldenPicture) -> Caption:
            return self.caption(golden.picture)[0]

        if self._golden and self.runner.captured_sizes:
            caption(self._golden[0])  # so that what is tested is what was captured
            self.runner.finish_captures()
        check_golden(
            self._golden,
            caption,
            lambda golden: self.score(golden.picture, golden.expected.text),
            exact=self.runner.exact,
        )
        return len(self._golden)

    @overload
    def caption(
        self,
        pictures: Photograph,
        decoding: DecodingConfig | None = None,
        *,
        attention: bool = False,
        image_gain: bool = False,
        top_logprobs: int = 0,
        wording: WordingConfig | None = None,
        **options: Any,
    ) -> list[Caption]: ...
    @overload
    def caption(
        self,
        pictures: Sequence[Photograph],
        decoding: DecodingConfig | None = None,
        *,
        attention: bool = False,
        image_gain: bool = False,
        top_logprobs: int = 0,
        wording: WordingConfig | None = None,
        **options: Any,
    ) -> list[list[Caption]]: ...
    def caption(
        self,
        pictures: Photograph | Sequence[Photograph],
        decoding: DecodingConfig | None = None,
        *,
        attention: bool = False,
        image_gain: bool = False,
        top_logprobs: int = 0,
        wording: WordingConfig | None = None,
        **options: Any,
    ) -> list[Caption] | list[list[Caption]]:
        """Describe a photograph, or several in one batch.

        Args:
            pictures: one picture of any size, or a path of one, or a sequence of these. Each is
                prepared as the service does it: turned upright by the EXIF orientation in its
                `info` (`ImageOps.exif_transpose` takes it out), transparency on white, colours
                by its profile, deep greys scaled.
            decoding: how captions are found; None takes the bundle's default.
            attention: whether to say where the decoder looked for each word.
            image_gain: whether to say how much of each word comes from the picture.
            top_logprobs: how many of the likeliest words to return at each word's place, 0 to 20.
            wording: how captions are put into words; None as the model wrote them.
            options: changes to `decoding`, by the names of `DecodingConfig`'s fields.

        Returns:
            The captions of the picture, or of each, best first: `num_captions`, or fewer if no more
            exist.

        Raises:
            TypeError: something is neither a picture nor a path, or `decoding` is of another type.
            ValueError: a picture has no pixels, or an option is unknown, out of range, or needs
                what the bundle lacks.
            OSError: a file cannot be read as a picture.
        """
        decoding = self._merge(decoding, options)
        wording = wording or WordingConfig()
        self.check_support(  # before the work, not after it
            decoding,
            image_gain=image_gain,
            min_confidence=wording.min_confidence is not None,
        )
        Details(top_logprobs=top_logprobs)  # checks its range
        several = isinstance(pictures, Sequence) and not isinstance(pictures, str | bytes)
        opened = list(map(open_photograph, pictures if several else [pictures]))  # type: ignore[arg-type]
        grid = self.encode(self.prepare(opened))
        found = self.search(
            grid, decoding, attention=attention, image_gain=image_gain, top_logprobs=top_logprobs
        )
        worded = [[reword(caption, wording) for caption in captions] for captions in found]
        return worded if several else worded[0]

    def prepare(self, pictures: Sequence[Image.Image]) -> Pixels:
        """Preprocess pictures as its runtime takes them, see `model.preprocessing`."""
        if self.runner.takes_bytes:
            return self.preprocessing.resize(pictures)
        return self.preprocessing(pictures)

    def trace(
        self, picture: Photograph, decoding: DecodingConfig | None = None, **options: Any
    ) -> tuple[list[Caption], SearchTrace]:
        """Describe a photograph, and return every step of the search for its captions.

        Args:
            picture, decoding, options: as in `caption`.

        Raises:
            TypeError, ValueError, OSError: as in `caption`.
            UnsupportedOption: captions are drawn, not searched for.
        """
        recorder = SearchRecorder()
        grid = self.encode(self.prepare([open_photograph(picture)]))
        found = self.search(grid, decoding, recorder=recorder, **options)
        return found[0], self.traces(recorder, found)[0]

    def score(
        self,
        picture: Photograph,
        text: str,
        *,
        attention: bool = False,
        image_gain: bool = False,
        top_logprobs: int = 0,
    ) -> Caption:
        """Return the log-probability of a caption that you bring, word by word.

        The text is cut into words as the training captions were (lower case, no punctuation). A
        word that the vocabulary lacks counts as the unknown token. Confidence and agreement are
        None: only captions that a search finds have them.

        Raises:
            TypeError, OSError: as in `caption`.
            UnsupportedOption: the image gain is asked for and the bundle has no mean picture.
            ValueError: `top_logprobs` is not 0 to 20.
        """
        self.check_support(DecodingConfig(), image_gain=image_gain)
        details = Details(attention, image_gain, top_logprobs)
        tokens = self._caption_tokens(text)
        return self._score(self.encode(self.prepare([open_photograph(picture)])), tokens, details)

    def score_with_states(
        self, picture: Photograph, text: str, *, top_logprobs: int = 0
    ) -> tuple[Caption, CaptionStates]:
        """Score a caption, and return the state of every unit while the decoder reads it.

        Args:
            picture, text, top_logprobs: as in `score`.

        Raises:
            TypeError, ValueError, OSError: as in `score`.
        """
        details = Details(top_logprobs=top_logprobs)
        tokens = self._caption_tokens(text)
        grid = self.encode(self.prepare([open_photograph(picture)]))
        states = read_states(self.runner, self.runner.encode_context(grid), tokens)
        return self._score(grid, tokens, details), states

    def _caption_tokens(self, text: str) -> list[int]:
        """Return the ids of a caption's words, and of its end."""
        if not isinstance(text, str):
            raise TypeError(f"text must be a string, not {type(text).__name__}")
        return [*self.vocabulary.encode(text), self.vocabulary.end_id]

    def _score(self, grid: Array, tokens: Sequence[int], details: Details) -> Caption:
        (logprobs,) = score_tokens(self.runner, self.runner.encode_context(grid), [tokens])
        hypothesis = Hypothesis(tuple(tokens), tuple(logprobs), finished=True)
        ((caption,),) = self._build(grid, [[RankedHypothesis(hypothesis)]], details)
        return caption
