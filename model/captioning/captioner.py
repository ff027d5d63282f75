"""Photographs to captions, with the log-probability of every word.

    captioner = Captioner.load()
    for caption in captioner.caption("photo.jpg", beam_size=3, num_captions=3):
        print(caption.logprob, caption.text)

Puts preprocessing, encoder, decoder, search and reranking together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, overload

from array_api_compat import array_namespace
from PIL import Image

from model.arrays import Array, to_numpy
from model.bundle.discovery import SHIPPED_WEIGHTS
from model.bundle.read import Bundle, load_bundle
from model.captioning.calibration import Evidence, estimate_confidence
from model.captioning.caption import MOST_TOP_LOGPROBS, Caption
from model.captioning.consensus import ConsensusReranker, RankedHypothesis, read_reranker
from model.captioning.image_gain import image_gain as measure_image_gain
from model.captioning.image_gain import mean_context_file, read_mean_context
from model.captioning.neighbours import neighbours_file
from model.captioning.scoring import attention_maps, likeliest_tokens, score_tokens
from model.captioning.self_test import GoldenPicture, check_golden, golden_files, read_golden
from model.captioning.tags import Tag, Tagger
from model.captioning.wording import WordingConfig, reword
from model.config import CaptionerConfig, DecodingConfig
from model.decoding import beam_search, sampling
from model.decoding.constraints import (
    Constraint,
    ForbiddenTokens,
    MinLength,
    NoEcho,
    NoRepeatNgram,
)
from model.decoding.hypothesis import DecodingCancelled, Hypothesis
from model.decoding.search_trace import SearchRecorder, SearchTrace
from model.networks.image_context import DecoderState, ImageContext
from model.pictures.decode import read_picture
from model.pictures.upright import upright_rgb
from model.preprocessing import Preprocessing
from model.runtime.base import Runner
from model.runtime.device import choose_device
from model.runtime.options import Precision, Runtime
from model.runtime.select import load_runner
from model.seeds import draw_seed
from model.vocabulary import Vocabulary

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from model.networks.caption_network import CaptionNetwork

__all__ = ["Captioner", "Photograph", "UnsupportedOption"]

Photograph = Image.Image | str | Path  # a picture, or the path of a picture file


class UnsupportedOption(ValueError):
    """An option needs something that the bundle lacks; the message says what."""


class Captioner:
    """A trained network that captions photographs; for one thread at a time.

    Args:
        runner: executes its network, see `model.runtime`.
        config, vocabulary: of its bundle.
        card: its model card, Markdown.
        mean_context: for the image gain, see `model.captioning.image_gain`.
        reranker: orders captions by consensus, see `model.captioning.consensus`.
        golden: for the self-test.
    """

    def __init__(
        self,
        runner: Runner,
        config: CaptionerConfig,
        vocabulary: Vocabulary,
        *,
        card: str = "",
        mean_context: ImageContext | None = None,
        reranker: ConsensusReranker | None = None,
        golden: Sequence[GoldenPicture] = (),
    ) -> None:
        self.runner = runner
        self.vocabulary = vocabulary
        self.card = card
        self.preprocessing = Preprocessing(config.preprocessing)
        self._config = config
        self._mean_context = None
        if mean_context is not None:
            arrays = mean_context.to_dict()
            placed = {name: runner.place(array) for name, array in arrays.items()}
            self._mean_context = ImageContext.from_dict(placed)
        self.reranker = reranker
        self._tagger = None
        if runner.usual_words is not None and config.tagging is not None:
            self._tagger = Tagger(runner.usual_words, config.tagging, vocabulary)
        self._golden = tuple(golden)

    @classmethod
    def of(
        cls,
        network: CaptionNetwork,
        config: CaptionerConfig,
        vocabulary: Vocabulary,
        *,
        device: str | torch.device = "cpu",
        **rest: Any,
    ) -> Self:
        """Build a captioner from a PyTorch network; `rest` are the class's other arguments."""
        from model.runtime.pytorch import TorchRunner  # noqa: PLC0415 - imports PyTorch

        runner = TorchRunner(network, config.preprocessing.size, device)
        return cls(runner, config, vocabulary, **rest)

    @classmethod
    def load(
        cls,
        path: str | Path | None = None,
        device: str = "auto",
        *,
        runtime: Runtime = "auto",
        threads: int | None = None,
        precision: Precision = "float32",
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
                and changes log-probabilities in the second digit.
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

    @classmethod
    def from_bundle(
        cls,
        bundle: Bundle[CaptionerConfig],
        device: str = "auto",
        *,
        runtime: Runtime = "auto",
        threads: int | None = None,
        precision: Precision = "float32",
    ) -> Self:
        """Load the weights of a bundle that `load_bundle` has read; see `load`."""
        runner = load_runner(bundle, choose_device(device), runtime, threads, precision)
        return cls(
            runner,
            bundle.config,
            bundle.vocabulary,
            card=bundle.card,
            mean_context=read_mean_context(bundle, runner),
            reranker=read_reranker(bundle, runner.channels, len(bundle.vocabulary)),
            golden=read_golden(bundle),
        )

    @property
    def config(self) -> CaptionerConfig:
        """Its bundle's configuration, which the options of `caption` never change."""
        return self._config

    @property
    def device(self) -> str:
        """Where its network runs, as PyTorch names it."""
        return self.runner.device

    @property
    def has_image_gain(self) -> bool:
        """Whether it can measure the image gain of words."""
        return self._mean_context is not None

    @property
    def mean_context(self) -> ImageContext | None:
        """What its decoder makes of a picture of nothing in particular; None if it has none."""
        return self._mean_context

    @property
    def has_consensus(self) -> bool:
        """Whether it can order captions by consensus."""
        return self.reranker is not None

    @property
    def has_tags(self) -> bool:
        """Whether it can tag pictures: it has a word detector, with calibrated probabilities."""
        return self._tagger is not None

    @property
    def network(self) -> CaptionNetwork:
        """Its network in PyTorch.

        Raises:
            ValueError: another runtime executes it.
        """
        network: CaptionNetwork | None = getattr(self.runner, "network", None)
        if network is None:
            raise ValueError("the network is not in PyTorch: load it with runtime='torch'")
        return network

    def optional_files(self) -> dict[str, bytes]:
        """Return the files of its bundle that not every bundle has, by name."""
        context, reranker = self._mean_context, self.reranker
        return {
            **({} if context is None else mean_context_file(context)),
            **({} if reranker is None else neighbours_file(reranker.index)),
            **golden_files(self._golden),
        }

    def self_test(self) -> int:
        """Caption the bundle's golden pictures with its default decoding, and compare.

        Returns:
            How many there are; a bundle may have none.

        Raises:
            BundleError: a caption differs, see `check_golden`.
        """
        check_golden(
            self._golden, lambda picture: self.caption(picture)[0], exact=self.runner.exact
        )
        return len(self._golden)

    def check_support(
        self,
        decoding: DecodingConfig,
        *,
        image_gain: bool = False,
        tags: bool = False,
        trace: bool = False,
        min_confidence: bool = False,
    ) -> None:
        """Check that the bundle, and the way of decoding, have what the options need.

        Raises:
            UnsupportedOption: they have not.
        """
        if trace and decoding.sampled:
            raise UnsupportedOption("trace shows a search: leave out temperature")
        if min_confidence and decoding.sampled:
            raise UnsupportedOption(
                "min_confidence does not go with temperature: drawn captions have no confidence"
            )
        if tags and self.runner.usual_words is None:
            raise UnsupportedOption(
                f"tags need a word detector, which the captioner {self.config.name!r} was trained "
                "without"
            )
        needs = {
            "image_gain": (image_gain and not self.has_image_gain, "a mean picture"),
            "consensus": (decoding.consensus and not self.has_consensus, "a neighbour index"),
            "tags": (tags and not self.has_tags, "calibrated probabilities of words"),
            "min_confidence": (
                min_confidence and self.config.calibration is None,
                "a calibrated confidence",
            ),
        }
        for option, (lacking, needed) in needs.items():
            if lacking:
                raise UnsupportedOption(
                    f"{option} needs {needed}, which the captioner {self.config.name!r} lacks: "
                    "`unrolled finalize captioner` adds it"
                )

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
        _check_top_logprobs(top_logprobs)
        several = isinstance(pictures, Sequence) and not isinstance(pictures, str | bytes)
        opened = list(map(_open, pictures if several else [pictures]))  # type: ignore[arg-type]
        grid = self.encode(self.prepare(opened))
        found = self.search(
            grid, decoding, attention=attention, image_gain=image_gain, top_logprobs=top_logprobs
        )
        worded = [[reword(caption, wording) for caption in captions] for captions in found]
        return worded if several else worded[0]

    def prepare(self, pictures: Sequence[Image.Image]) -> NDArray[np.float32]:
        """Preprocess pictures: (batch, 3, size, size)."""
        return self.preprocessing(pictures)

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
        """Find the captions of encoded pictures (batch, rows, columns, channels), see `caption`.

        A `recorder`, if there is one, records the steps of the search for `traces`.

        Raises:
            UnsupportedOption: the bundle lacks what an option needs.
            ValueError: an option is unknown or out of range.
            DecodingCancelled: `cancelled`, which is asked before every step, returned True.
        """
        decoding = self._merge(decoding, options)
        self.check_support(decoding, image_gain=image_gain, trace=recorder is not None)
        _check_top_logprobs(top_logprobs)
        ranked = self._rank(grid, self._find(grid, decoding, cancelled, recorder), decoding)
        hypotheses = [one.hypothesis for best in ranked for one in best]
        gains = iter(self._image_gains(hypotheses) if image_gain else [None] * len(hypotheses))
        return [
            [
                Caption.of(
                    one.hypothesis,
                    self.vocabulary,
                    confidence=self._confidence(one, decoding),
                    agreement=one.agreement,
                    attention=attention_maps(self.runner, picture, one.hypothesis.tokens)
                    if attention
                    else None,
                    image_gain=next(gains),
                    top=self._likeliest(picture, one.hypothesis.tokens, top_logprobs),
                )
                for one in best
            ]
            for picture, best in zip(grid[:, None], ranked, strict=True)
        ]

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
        grid = self.encode(self.prepare([_open(picture)]))
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
        if not isinstance(text, str):
            raise TypeError(f"text must be a string, not {type(text).__name__}")
        self.check_support(DecodingConfig(), image_gain=image_gain)
        _check_top_logprobs(top_logprobs)
        grid = self.encode(self.prepare([_open(picture)]))
        tokens = [*self.vocabulary.encode(text), self.vocabulary.end_id]
        (logprobs,), _ = score_tokens(self.runner, self.runner.encode_context(grid), [tokens])
        hypothesis = Hypothesis(tuple(tokens), tuple(logprobs), finished=True)
        return Caption.of(
            hypothesis,
            self.vocabulary,
            attention=attention_maps(self.runner, grid, tokens) if attention else None,
            image_gain=self._image_gains([hypothesis])[0] if image_gain else None,
            top=self._likeliest(grid, tokens, top_logprobs),
        )

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

    def _find(
        self,
        grid: Array,
        decoding: DecodingConfig,
        cancelled: Callable[[], bool],
        recorder: SearchRecorder | None,
    ) -> list[list[Hypothesis]]:
        """Search for token sequences, or draw them."""
        start, end = self.vocabulary.start_id, self.vocabulary.end_id
        constraints = self._constraints(decoding)
        num_results = decoding.beam_size if decoding.consensus else None
        if self.runner.search is not None and not decoding.sampled and recorder is None:
            if cancelled():
                raise DecodingCancelled
            return self.runner.search(
                grid,
                decoding,
                start_token=start,
                end_token=end,
                constraints=constraints,
                num_results=num_results,
            )
        context = self.runner.encode_context(grid)

        def step(tokens: Array, state: DecoderState) -> tuple[Array, DecoderState]:
            logprobs, state, _ = self.runner.step(tokens, state, context)
            return logprobs, state

        if decoding.sampled:
            if decoding.seed is None:
                decoding = decoding.merge(seed=draw_seed())
            return sampling.sample(
                step,
                context.start,
                decoding,
                start_token=start,
                end_token=end,
                constraints=constraints,
                cancelled=cancelled,
            )
        return beam_search.search(
            step,
            context.start,
            decoding,
            start_token=start,
            end_token=end,
            constraints=constraints,
            num_results=num_results,
            cancelled=cancelled,
            recorder=recorder,
        )

    def _constraints(self, decoding: DecodingConfig) -> list[Constraint]:
        vocabulary = self.vocabulary
        words = [token for word in decoding.no_echo_words for token in vocabulary.encode(word)]
        return [
            ForbiddenTokens(vocabulary.never_written),
            MinLength(1, vocabulary.end_id),  # an empty caption says nothing
            NoRepeatNgram(decoding.no_repeat_ngram_size),
            NoEcho(words),
        ]

    def _rank(
        self, grid: Array, found: list[list[Hypothesis]], decoding: DecodingConfig
    ) -> list[list[RankedHypothesis]]:
        """Order the captions that were found, and keep those that were asked for."""
        if decoding.sampled:  # a search's results come in this order already
            by_score = lambda one: one.score(decoding.length_penalty)  # noqa: E731
            found = [sorted(drawn, key=by_score, reverse=True) for drawn in found]
        if self.reranker is None:
            return [[RankedHypothesis(one) for one in hypotheses] for hypotheses in found]
        features = array_namespace(grid).mean(grid, axis=(1, 2))  # (batch, channels)
        ranked = self.reranker.rank(features, found, reorder=decoding.consensus)
        return [best[: decoding.num_captions] for best in ranked]

    def _confidence(self, ranked: RankedHypothesis, decoding: DecodingConfig) -> float | None:
        """Return the chance that a caption is good, where the calibration holds for it."""
        calibration, (hypothesis, agreement) = self.config.calibration, ranked
        # It was fitted to the best captions of beam searches; one that was cut off gets none.
        if calibration is None or not hypothesis.finished or decoding.sampled:
            return None
        evidence = Evidence(
            hypothesis.logprobs, hypothesis.finished, decoding.beam_size, agreement or 0.0
        )
        return estimate_confidence(calibration, evidence)

    def _likeliest(
        self, grid: Array, tokens: Sequence[int], count: int
    ) -> list[list[tuple[int, float]]] | None:
        """Return the likeliest tokens at each place of a caption of one picture; None for none."""
        if not count:
            return None
        return likeliest_tokens(self.runner, self.runner.encode_context(grid), tokens, count)

    def _image_gains(self, hypotheses: Sequence[Hypothesis]) -> list[list[float]]:
        assert self._mean_context is not None  # noqa: S101 - `check_support` has looked
        return measure_image_gain(
            self.runner,
            self._mean_context,
            [hypothesis.tokens for hypothesis in hypotheses],
            [hypothesis.logprobs for hypothesis in hypotheses],
        )


def _check_top_logprobs(count: int) -> None:
    if not isinstance(count, int) or not 0 <= count <= MOST_TOP_LOGPROBS:
        raise ValueError(f"top_logprobs must be 0 to {MOST_TOP_LOGPROBS}, not {count}")


def _open(picture: Photograph) -> Image.Image:
    """Return a picture in RGB and upright, read from its file if it is a path."""
    if isinstance(picture, Image.Image):
        if 0 in picture.size:
            raise ValueError(f"a picture of {picture.width} x {picture.height} pixels is empty")
        return upright_rgb(picture)
    if isinstance(picture, str | Path):
        return read_picture(picture)
    raise TypeError(
        f"an object of type {type(picture).__name__} is not a picture: give a PIL image or "
        "the path of a picture file (`caption` also takes a list of these)"
    )
