"""Pictures to captions, with the log-probability of every word.

    captioner = Captioner.load("weights/captioner")
    for caption in captioner.caption([picture], beam_size=3, num_captions=3)[0]:
        print(caption.logprob, caption.text)

Puts preprocessing, encoder, decoder and beam search together; knows nothing of files other than
the bundle, nor of untrusted bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from array_api_compat import array_namespace
from PIL import Image

from model.arrays import Array
from model.bundle.read import load_bundle
from model.captioning.calibration import Evidence, estimate_confidence
from model.captioning.caption import Caption, Token
from model.captioning.consensus import ConsensusReranker, Ranked, read_reranker
from model.captioning.image_gain import ground, mean_context_file, read_mean_context
from model.captioning.neighbours import neighbours_file
from model.captioning.scoring import look, read
from model.captioning.self_test import GoldenPicture, check_golden, golden_files, read_golden
from model.config import CaptionerConfig, DecodingConfig
from model.decoding.beam_search import Hypothesis, search
from model.networks.image_context import DecoderState, ImageContext
from model.preprocessing import Preprocessing
from model.runtime.base import Runner
from model.runtime.device import choose_device
from model.runtime.huge_pages import use_huge_pages
from model.runtime.options import Precision, Runtime
from model.runtime.select import load_runner
from model.vocabulary import Vocabulary

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from model.networks.caption_network import CaptionNetwork

__all__ = ["Caption", "Captioner", "Token"]


class Captioner:
    """A trained network that captions pictures; for one thread at a time.

    Args:
        runner: of its network, see `model.runtime.select`.
        config, vocabulary: of its bundle.
        card: its model card, Markdown.
        mean_context: for image_gain, see `model.captioning.image_gain`.
        consensus: for the order of captions, see `model.captioning.consensus`.
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
        consensus: ConsensusReranker | None = None,
        golden: Sequence[GoldenPicture] = (),
    ) -> None:
        self.runner = runner
        self.config = config
        self.vocabulary = vocabulary
        self.card = card
        self.preprocessing = Preprocessing(config.preprocessing)
        self.mean_context = mean_context
        if mean_context is not None:
            placed = {name: runner.place(part) for name, part in mean_context.to_dict().items()}
            self.mean_context = ImageContext.from_dict(placed)
        self.consensus = consensus
        self.golden = tuple(golden)

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
        """Make one of a network in PyTorch; the `rest` is as for the class itself."""
        from model.runtime.pytorch import TorchRunner  # noqa: PLC0415 - brings PyTorch

        runner = TorchRunner(network, config.preprocessing.size, device)
        return cls(runner, config, vocabulary, **rest)

    @classmethod
    def load(
        cls,
        path: str | Path,
        device: str = "auto",
        *,
        runtime: Runtime = "torch",
        threads: int | None = None,
        precision: Precision = "float32",
        self_test: bool = False,
    ) -> Self:
        """Load a bundle.

        Args:
            path: the bundle's folder.
            device: `auto`, or any that torch knows (`cpu`, `cuda`, `cuda:1`, `mps`).
            runtime: what runs the network. PyTorch has it at hand, to be trained or looked at;
                `auto` takes what is fastest, see `model.runtime.select`.
            threads: on a CPU; None leaves it to the runtime.
            precision: of most arithmetic; less than single precision is faster on some machines,
                and changes log-probabilities in the second digit.
            self_test: whether to caption its golden pictures, see `self_test`.

        Raises:
            BundleError: the bundle cannot be used, or fails its self-test; the message says why.
            ValueError: there is no such device, or the runtime is not for it.
        """
        chosen = choose_device(device)
        bundle = load_bundle(path, CaptionerConfig)
        runner = load_runner(bundle, chosen, runtime, threads, precision)
        captioner = cls(
            runner,
            bundle.config,
            bundle.vocabulary,
            card=bundle.card,
            mean_context=read_mean_context(bundle, runner),
            consensus=read_reranker(bundle, runner.channels, len(bundle.vocabulary)),
            golden=read_golden(bundle),
        )
        use_huge_pages()
        if self_test:
            captioner.self_test()
        return captioner

    @property
    def device(self) -> str:
        """Where its network runs, as PyTorch names it."""
        return self.runner.device

    @property
    def network(self) -> CaptionNetwork:
        """Its network in PyTorch.

        Raises:
            ValueError: another runtime has it.
        """
        network: CaptionNetwork | None = getattr(self.runner, "network", None)
        if network is None:
            raise ValueError("the network is not in PyTorch: load it with runtime='torch'")
        return network

    def files(self) -> dict[str, bytes]:
        """Give those files of its bundle that not every bundle has, by their names."""
        return {
            **({} if self.mean_context is None else mean_context_file(self.mean_context)),
            **({} if self.consensus is None else neighbours_file(self.consensus.known)),
            **golden_files(self.golden),
        }

    def self_test(self) -> int:
        """Caption the bundle's golden pictures by its default decoding, and compare.

        Returns:
            How many there are; a bundle need not have any.

        Raises:
            BundleError: a caption does not come out, see `check_golden`.
        """
        best = lambda picture: self.caption([picture])[0][0]  # noqa: E731
        check_golden(self.golden, best, exact=self.runner.exact)
        return len(self.golden)

    def caption(
        self,
        pictures: Sequence[Image.Image],
        *,
        beam_size: int | None = None,
        num_captions: int | None = None,
        max_length: int | None = None,
        length_penalty: float | None = None,
        no_repeat_ngram_size: int | None = None,
        no_echo_words: Sequence[str] | None = None,
        consensus: bool | None = None,
        attention: bool = False,
        image_gain: bool = False,
    ) -> list[list[Caption]]:
        """Describe pictures, all in one batch.

        Args:
            pictures: RGB, of any size. beam_size, num_captions, max_length, length_penalty,
            no_repeat_ngram_size, no_echo_words, consensus:
                see `DecodingConfig`; None takes the bundle's default.
            attention: whether to say where the decoder looked for each word.
            image_gain: whether to say how far each word comes from the picture.

        Returns:
            For each picture its captions, best first: `num_captions`, or fewer where no more
            exist.

        Raises:
            ValueError: a number is out of its range, or image_gain or a consensus is asked for and
                the bundle has not what it takes.
        """
        grid = self.encode(self.prepare(pictures))
        return self.search(
            grid,
            beam_size=beam_size,
            num_captions=num_captions,
            max_length=max_length,
            length_penalty=length_penalty,
            no_repeat_ngram_size=no_repeat_ngram_size,
            no_echo_words=no_echo_words,
            consensus=consensus,
            attention=attention,
            image_gain=image_gain,
        )

    def prepare(self, pictures: Sequence[Image.Image]) -> NDArray[np.float32]:
        """Preprocess pictures: (batch, 3, size, size)."""
        return self.preprocessing(pictures)

    def encode(self, pixels: Array) -> Array:
        """Run the encoder: (batch, 3, size, size) -> (batch, rows, columns, channels)."""
        return self.runner.encode(pixels)

    def search(
        self,
        grid: Array,
        *,
        attention: bool = False,
        image_gain: bool = False,
        cancelled: Callable[[], bool] | None = None,
        **changes: Any,
    ) -> list[list[Caption]]:
        """Find the captions of encoded pictures; arguments as in `caption`.

        Raises:
            SearchCancelled: `cancelled`, which is asked before every step, said that nobody waits.
        """
        decoding = self._decoding(changes)
        decoder, vocabulary = self.runner, self.vocabulary
        if image_gain:
            self._need_mean_picture()  # before the work, not after it
        if decoding.consensus and self.consensus is None:
            raise ValueError(self._lacks("consensus"))
        picture = decoder.encode_context(grid)

        def step(tokens: Array, state: DecoderState) -> tuple[Array, DecoderState]:
            logprobs, state, _ = decoder.step(tokens, state, picture)
            return logprobs, state

        found = search(
            step,
            picture.start,
            start_token=vocabulary.start_id,
            end_token=vocabulary.end_id,
            beam_size=decoding.beam_size,
            num_results=decoding.beam_size if decoding.consensus else decoding.num_captions,
            num_settled=decoding.num_captions,
            max_length=decoding.max_length,
            min_length=1,  # no words say nothing of a picture
            length_penalty=decoding.length_penalty,
            no_repeat_ngram_size=decoding.no_repeat_ngram_size,
            no_echo_words=[i for word in decoding.no_echo_words for i in vocabulary.encode(word)],
            forbidden=(vocabulary.pad_id, vocabulary.start_id, vocabulary.unknown_id),
            cancelled=cancelled,
        )
        ranked = self._rank(grid, found, decoding)
        together = [one.hypothesis for best in ranked for one in best]
        grounds = iter(self._ground(together) if image_gain else [None] * len(together))
        return [
            [
                self._caption(
                    one,
                    decoding.beam_size,
                    attention=look(decoder, own, one.hypothesis.tokens) if attention else None,
                    image_gain=next(grounds),
                )
                for one in best
            ]
            for own, best in zip(grid[:, None], ranked, strict=True)
        ]

    def score(
        self,
        picture: Image.Image,
        text: str,
        *,
        attention: bool = False,
        image_gain: bool = False,
    ) -> Caption:
        """Give the log-probability of a caption that you bring, word by word.

        The text is cut into words as the training captions were (lower case, no punctuation). A
        word that the vocabulary lacks counts as the unknown token. It has no confidence: that is
        known of captions that a search finds, and no agreement.

        Raises:
            ValueError: image_gain is asked for and the bundle has no mean picture.
        """
        decoder, grid = self.runner, self.encode(self.prepare([picture]))
        tokens = [*self.vocabulary.encode(text), self.vocabulary.end_id]
        (logprobs,), _ = read(decoder, decoder.encode_context(grid), [tokens])
        hypothesis = Hypothesis(tuple(tokens), tuple(logprobs), finished=True)
        seen = look(decoder, grid, tokens) if attention else None
        (nats,) = self._ground([hypothesis]) if image_gain else (None,)
        return Caption.of(hypothesis, self.vocabulary, attention=seen, image_gain=nats)

    def _decoding(self, changes: dict[str, Any]) -> DecodingConfig:
        """The bundle's defaults with a call's changes; pydantic checks the ranges."""
        given = {name: value for name, value in changes.items() if value is not None}
        if "beam_size" in given and "num_captions" not in given:
            default = self.config.decoding.num_captions
            given["num_captions"] = min(given["beam_size"], default)
        return replace(self.config.decoding, **given)

    def _rank(
        self, grid: Array, found: list[list[Hypothesis]], decoding: DecodingConfig
    ) -> list[list[Ranked]]:
        """Put the captions that were found into order, and keep those that were asked for."""
        if self.consensus is None:
            return [[Ranked(one) for one in hypotheses] for hypotheses in found]
        features = array_namespace(grid).mean(grid, axis=(1, 2))  # (batch, channels)
        ranked = self.consensus.rank(features, found, reorder=decoding.consensus)
        return [best[: decoding.num_captions] for best in ranked]

    def _caption(self, ranked: Ranked, beam_size: int, **told: Any) -> Caption:
        """Put a hypothesis into words."""
        hypothesis, agreement = ranked
        confidence = None
        # Captions that were cut are not what it was fitted to.
        if self.config.calibration is not None and hypothesis.finished:
            evidence = Evidence(
                hypothesis.logprobs, hypothesis.finished, beam_size, agreement or 0.0
            )
            confidence = estimate_confidence(self.config.calibration, evidence)
        return Caption.of(
            hypothesis, self.vocabulary, confidence=confidence, agreement=agreement, **told
        )

    def _ground(self, hypotheses: Sequence[Hypothesis]) -> Sequence[list[float] | None]:
        captions = [hypothesis.tokens for hypothesis in hypotheses]
        logprobs = [hypothesis.logprobs for hypothesis in hypotheses]
        return ground(self.runner, self._need_mean_picture(), captions, logprobs)

    def _need_mean_picture(self) -> ImageContext:
        if self.mean_context is None:
            raise ValueError(self._lacks("mean picture, which image_gain needs"))
        return self.mean_context

    def _lacks(self, what: str) -> str:
        name = self.config.name
        return f"the captioner {name!r} has no {what}: `unrolled finalize captioner` gives it one"
