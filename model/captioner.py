"""Pictures to captions, with the log-probability of every word.

    captioner = Captioner.load("weights/captioner")
    for caption in captioner.caption([picture], beam_size=3, num_captions=3)[0]:
        print(caption.logprob, caption.text)

Puts preprocessing, encoder, decoder and beam search together; knows nothing of files other than
the bundle, nor of untrusted bytes.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import torch
from PIL import Image
from torch import Tensor, nn

from model.beam_search import Hypothesis, search
from model.beam_search import State as SearchState
from model.bundle import BundleError, load_bundle, load_weights
from model.calibration import Evidence, estimate_confidence
from model.caption import Caption, Token
from model.caption_reading import look, read
from model.config import CaptionerConfig, DecodingConfig
from model.consensus import Consensus, Ranked, read_consensus
from model.decoder import Decoder, Picture, make_decoder
from model.device import choose_device
from model.encoder import Encoder
from model.folding import fold_batch_norm
from model.golden import Golden, check_golden, golden_files, read_golden
from model.grounding import from_parts, ground, mean_picture_file, parts, read_mean_picture
from model.known_pictures import known_pictures_file
from model.preprocessing import Preprocessing
from model.vocabulary import Vocabulary

__all__ = ["Caption", "CaptionNetwork", "Captioner", "Token"]


class CaptionNetwork(nn.Module):
    """Encoder and decoder in one module: what is trained, and what a bundle keeps."""

    def __init__(
        self, config: CaptionerConfig, vocabulary_size: int, *, pretrained: bool = False
    ) -> None:
        super().__init__()
        self.encoder = Encoder(config.encoder, pretrained=pretrained)
        self.decoder: Decoder = make_decoder(config.decoder, vocabulary_size, self.encoder.channels)


class Captioner:
    """A trained network that captions pictures.

    Args:
        network: in which state it is does not matter; it is put into evaluation.
        config, vocabulary: of its bundle.
        device: where it runs, see `choose_device`.
        card: its model card, Markdown.
        mean_picture: for grounding, see `model.grounding`.
        consensus: for the order of captions, see `model.consensus`.
        golden: for the self-test.
    """

    def __init__(
        self,
        network: CaptionNetwork,
        config: CaptionerConfig,
        vocabulary: Vocabulary,
        *,
        device: str | torch.device = "cpu",
        card: str = "",
        mean_picture: Picture | None = None,
        consensus: Consensus | None = None,
        golden: Sequence[Golden] = (),
    ) -> None:
        self.config = config
        self.vocabulary = vocabulary
        self.card = card
        self.device = torch.device(device)
        self.preprocessing = Preprocessing(config.preprocessing)
        self.network = network.eval().to(self.device)
        self.encoder = self._make_fast(self.network.encoder)
        self.mean_picture = mean_picture
        if mean_picture is not None:
            on_device = {name: part.to(self.device) for name, part in parts(mean_picture).items()}
            self.mean_picture = from_parts(on_device)
        self.consensus = consensus
        self.golden = tuple(golden)

    @classmethod
    def load(cls, path: str | Path, device: str = "auto", *, self_test: bool = False) -> Self:
        """Load a bundle.

        Args:
            path: the bundle's folder.
            device: `auto`, or any that torch knows (`cpu`, `cuda`, `cuda:1`, `mps`).
            self_test: whether to caption its golden pictures, see `self_test`.

        Raises:
            BundleError: the bundle cannot be used, or fails its self-test; the message says why.
            ValueError: there is no such device.
        """
        chosen = choose_device(device)
        bundle = load_bundle(path, CaptionerConfig)
        try:
            with torch.device("meta"):  # shapes alone: memory is taken once they are known to fit
                network = CaptionNetwork(bundle.config, len(bundle.vocabulary))
        except (ValueError, RuntimeError) as error:
            raise BundleError(f"{path}: {error}") from error
        load_weights(bundle, network)
        captioner = cls(
            network,
            bundle.config,
            bundle.vocabulary,
            device=chosen,
            card=bundle.card,
            mean_picture=read_mean_picture(bundle, network.decoder),
            consensus=read_consensus(bundle, network.encoder.channels, len(bundle.vocabulary)),
            golden=read_golden(bundle),
        )
        if self_test:
            captioner.self_test()
        return captioner

    def files(self) -> dict[str, bytes]:
        """Give those files of its bundle that not every bundle has, by their names."""
        return {
            **({} if self.mean_picture is None else mean_picture_file(self.mean_picture)),
            **({} if self.consensus is None else known_pictures_file(self.consensus.known)),
            **golden_files(self.golden),
        }

    def self_test(self) -> int:
        """Caption the bundle's golden pictures by its default decoding, and compare.

        Returns:
            How many there are; a bundle need not have any.

        Raises:
            BundleError: a caption does not come out, see `check_golden`.
        """
        weights = next(self.network.parameters())
        exact = weights.device.type == "cpu" and weights.dtype == torch.float32
        check_golden(self.golden, lambda picture: self.caption([picture])[0][0], exact=exact)
        return len(self.golden)

    def caption(
        self,
        pictures: Sequence[Image.Image],
        *,
        beam_size: int | None = None,
        num_captions: int | None = None,
        max_length: int | None = None,
        length_penalty: float | None = None,
        block_ngram: int | None = None,
        joints: Sequence[str] | None = None,
        consensus: bool | None = None,
        attention: bool = False,
        grounding: bool = False,
    ) -> list[list[Caption]]:
        """Describe pictures, all in one batch.

        Args:
            pictures: RGB, of any size.
            beam_size, num_captions, max_length, length_penalty, block_ngram, joints, consensus:
                see `DecodingConfig`; None takes the bundle's default.
            attention: whether to say where the decoder looked for each word.
            grounding: whether to say how far each word comes from the picture.

        Returns:
            For each picture its captions, best first: `num_captions`, or fewer where no more
            exist.

        Raises:
            ValueError: a number is out of its range, or grounding or a consensus is asked for and
                the bundle has not what it takes.
        """
        grid = self.encode(self.prepare(pictures))
        return self.search(
            grid,
            beam_size=beam_size,
            num_captions=num_captions,
            max_length=max_length,
            length_penalty=length_penalty,
            block_ngram=block_ngram,
            joints=joints,
            consensus=consensus,
            attention=attention,
            grounding=grounding,
        )

    def prepare(self, pictures: Sequence[Image.Image]) -> Tensor:
        """Preprocess pictures: (batch, 3, size, size), on the CPU."""
        return self.preprocessing(pictures)

    @torch.inference_mode()
    def encode(self, pixels: Tensor) -> Tensor:
        """Run the encoder: (batch, 3, size, size) -> (batch, rows, columns, channels)."""
        pixels = pixels.to(self.device).contiguous(memory_format=torch.channels_last)
        grid: Tensor = self.encoder(pixels)
        return grid

    @torch.inference_mode()
    def search(
        self, grid: Tensor, *, attention: bool = False, grounding: bool = False, **changes: Any
    ) -> list[list[Caption]]:
        """Find the captions of encoded pictures; arguments as in `caption`."""
        decoding = self._decoding(changes)
        decoder, vocabulary = self.network.decoder, self.vocabulary
        if grounding:
            self._need_mean_picture()  # before the work, not after it
        if decoding.consensus and self.consensus is None:
            raise ValueError(self._lacks("consensus"))
        picture = decoder.begin(grid)

        def step(tokens: Tensor, state: SearchState) -> tuple[Tensor, SearchState]:
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
            block_ngram=decoding.block_ngram,
            joints=[i for word in decoding.joints for i in vocabulary.encode(word)],
            forbidden=(vocabulary.pad_id, vocabulary.start_id, vocabulary.unknown_id),
        )
        ranked = self._rank(grid, found, decoding)
        together = [one.hypothesis for best in ranked for one in best]
        grounds = iter(self._ground(together) if grounding else [None] * len(together))
        return [
            [
                self._caption(
                    one,
                    decoding.beam_size,
                    attention=look(decoder, own, one.hypothesis.tokens) if attention else None,
                    grounding=next(grounds),
                )
                for one in best
            ]
            for own, best in zip(grid[:, None], ranked, strict=True)
        ]

    @torch.inference_mode()
    def score(
        self,
        picture: Image.Image,
        text: str,
        *,
        attention: bool = False,
        grounding: bool = False,
    ) -> Caption:
        """Give the log-probability of a caption that you bring, word by word.

        The text is cut into words as the training captions were (lower case, no punctuation). A
        word that the vocabulary lacks counts as the unknown token. It has no confidence: that is
        known of captions that a search finds, and no agreement.

        Raises:
            ValueError: grounding is asked for and the bundle has no mean picture.
        """
        decoder, grid = self.network.decoder, self.encode(self.prepare([picture]))
        tokens = [*self.vocabulary.encode(text), self.vocabulary.end_id]
        (logprobs,), _ = read(decoder, decoder.begin(grid), [tokens])
        hypothesis = Hypothesis(tuple(tokens), tuple(logprobs), finished=True)
        seen = look(decoder, grid, tokens) if attention else None
        (nats,) = self._ground([hypothesis]) if grounding else (None,)
        return Caption.of(hypothesis, self.vocabulary, attention=seen, grounding=nats)

    def _decoding(self, changes: dict[str, Any]) -> DecodingConfig:
        """The bundle's defaults with a call's changes; pydantic checks the ranges."""
        given = {name: value for name, value in changes.items() if value is not None}
        if "beam_size" in given and "num_captions" not in given:
            default = self.config.decoding.num_captions
            given["num_captions"] = min(given["beam_size"], default)
        return replace(self.config.decoding, **given)

    def _rank(
        self, grid: Tensor, found: list[list[Hypothesis]], decoding: DecodingConfig
    ) -> list[list[Ranked]]:
        """Put the captions that were found into order, and keep those that were asked for."""
        if self.consensus is None:
            return [[Ranked(one) for one in hypotheses] for hypotheses in found]
        features = grid.mean((1, 2))  # (batch, channels)
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
        return ground(self.network.decoder, self._need_mean_picture(), captions, logprobs)

    def _make_fast(self, encoder: Encoder) -> Encoder:
        """Copy the encoder for inference; the network keeps its own, as bundles hold it."""
        size = self.config.preprocessing.size
        noise = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(0))
        folded = fold_batch_norm(encoder, noise.to(self.device))
        return folded.to(memory_format=torch.channels_last)

    def _need_mean_picture(self) -> Picture:
        if self.mean_picture is None:
            raise ValueError(self._lacks("mean picture, which grounding needs"))
        return self.mean_picture

    def _lacks(self, what: str) -> str:
        name = self.config.name
        return f"the captioner {name!r} has no {what}: `unrolled finish captioner` gives it one"
