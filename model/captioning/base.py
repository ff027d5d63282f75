"""What a captioner consists of, how it is read from its bundle, and which options it supports."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

from model.bundle.read import Bundle
from model.captioning.consensus import ConsensusReranker, read_reranker
from model.captioning.expected_words import expected_words_file
from model.captioning.image_gain import mean_context_file, read_mean_context
from model.captioning.self_test import GoldenPicture, golden_files, read_golden
from model.captioning.tags import Tagger
from model.config import CaptionerConfig, DecodingConfig
from model.networks.image_context import ImageContext
from model.preprocessing import Preprocessing
from model.runtime.base import Runner
from model.runtime.device import choose_device, choose_precision
from model.runtime.options import PrecisionChoice, Runtime
from model.runtime.select import load_runner
from model.vocabulary import Vocabulary

if TYPE_CHECKING:
    import torch

    from model.networks.caption_network import CaptionNetwork

__all__ = ["CaptionerBase", "UnsupportedOption"]


class UnsupportedOption(ValueError):
    """An option needs something that the bundle lacks; the message says what."""


class CaptionerBase:
    """A trained network, and what its bundle has beside it.

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
        self._mean_context = None if mean_context is None else mean_context.map(runner.place)
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
    def from_bundle(
        cls,
        bundle: Bundle[CaptionerConfig],
        device: str = "auto",
        *,
        runtime: Runtime = "auto",
        threads: int | None = None,
        precision: PrecisionChoice = "float32",
    ) -> Self:
        """Load the weights of a bundle that `load_bundle` has read; see `load`."""
        device = choose_device(device)
        chosen = choose_precision(precision, device)
        runner = load_runner(bundle, device, runtime, threads, chosen)
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
            **({} if reranker is None else expected_words_file(reranker.words)),
            **golden_files(self._golden),
        }

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
            "consensus": (
                decoding.consensus and not self.has_consensus,
                "a table of expected words",
            ),
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
