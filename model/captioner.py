"""Pictures to captions, with the log-probability of every word.

    captioner = Captioner.load("weights/captioner")
    for caption in captioner.caption([picture], beam_size=3, num_captions=3)[0]:
        print(caption.logprob, caption.text)

Puts preprocessing, encoder, decoder and beam search together; knows nothing of files other than
the bundle, nor of untrusted bytes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import torch
from PIL import Image
from torch import Tensor, nn

from model.beam_search import Hypothesis, search
from model.beam_search import State as SearchState
from model.bundle import BundleError, load_bundle, load_weights
from model.config import CaptionerConfig, DecodingConfig
from model.decoder import Decoder, make_decoder
from model.device import choose_device
from model.encoder import Encoder
from model.preprocessing import Preprocessing
from model.vocabulary import Vocabulary

__all__ = ["Caption", "CaptionNetwork", "Captioner", "Token"]

Grid = tuple[tuple[float, ...], ...]  # rows x columns


@dataclass(frozen=True)
class Token:
    """One word of a caption, or the end token.

    `logprob` is the natural logarithm of its probability given the picture and the words before
    it; `attention`, if asked for, says where the decoder looked: rows x columns, of sum 1.
    """

    token: str
    logprob: float
    attention: Grid | None = None


@dataclass(frozen=True)
class Caption:
    """A sentence about a picture.

    `logprob` is the sum of the tokens' log-probabilities, the end token's included, and
    `mean_logprob` that over the number of tokens. A caption that is not `finished` was cut at
    the greatest length.
    """

    text: str
    logprob: float
    mean_logprob: float
    finished: bool
    tokens: tuple[Token, ...]


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
    """

    def __init__(
        self,
        network: CaptionNetwork,
        config: CaptionerConfig,
        vocabulary: Vocabulary,
        *,
        device: str | torch.device = "cpu",
        card: str = "",
    ) -> None:
        self.config = config
        self.vocabulary = vocabulary
        self.card = card
        self.device = torch.device(device)
        self.preprocessing = Preprocessing(config.preprocessing)
        self.network = network.eval().to(self.device)
        self.network.encoder.to(memory_format=torch.channels_last)

    @classmethod
    def load(cls, path: str | Path, device: str = "auto") -> Self:
        """Load a bundle.

        Args:
            path: the bundle's folder.
            device: `auto`, or any that torch knows (`cpu`, `cuda`, `cuda:1`, `mps`).

        Raises:
            BundleError: the bundle cannot be used; the message says why.
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
        return cls(network, bundle.config, bundle.vocabulary, device=chosen, card=bundle.card)

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
        attention: bool = False,
    ) -> list[list[Caption]]:
        """Describe pictures, all in one batch.

        Args:
            pictures: RGB, of any size.
            beam_size, num_captions, max_length, length_penalty, block_ngram, joints: see
                `DecodingConfig`; None takes the bundle's default.
            attention: whether to say where the decoder looked for each word.

        Returns:
            For each picture its captions, best first: `num_captions`, or fewer where no more
            exist.

        Raises:
            ValueError: a number is out of its range.
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
            attention=attention,
        )

    def prepare(self, pictures: Sequence[Image.Image]) -> Tensor:
        """Preprocess pictures: (batch, 3, size, size), on the CPU."""
        return self.preprocessing(pictures)

    @torch.inference_mode()
    def encode(self, pixels: Tensor) -> Tensor:
        """Run the encoder: (batch, 3, size, size) -> (batch, rows, columns, channels)."""
        pixels = pixels.to(self.device).contiguous(memory_format=torch.channels_last)
        grid: Tensor = self.network.encoder(pixels)
        return grid

    @torch.inference_mode()
    def search(
        self, grid: Tensor, *, attention: bool = False, **changes: Any
    ) -> list[list[Caption]]:
        """Find the captions of encoded pictures; arguments as in `caption`."""
        decoding = self._decoding(changes)
        decoder, vocabulary = self.network.decoder, self.vocabulary
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
            num_results=decoding.num_captions,
            max_length=decoding.max_length,
            min_length=1,  # no words say nothing of a picture
            length_penalty=decoding.length_penalty,
            block_ngram=decoding.block_ngram,
            joints=[i for word in decoding.joints for i in vocabulary.encode(word)],
            forbidden=(vocabulary.pad_id, vocabulary.start_id, vocabulary.unknown_id),
        )
        return [
            [
                self._caption(hypothesis, self._look(grid[i : i + 1], hypothesis, attention))
                for hypothesis in hypotheses
            ]
            for i, hypotheses in enumerate(found)
        ]

    @torch.inference_mode()
    def score(self, picture: Image.Image, text: str, *, attention: bool = False) -> Caption:
        """Give the log-probability of a caption that you bring, word by word.

        The text is cut into words as the training captions were (lower case, no punctuation). A
        word that the vocabulary lacks counts as the unknown token.
        """
        grid = self.encode(self.prepare([picture]))
        tokens = [*self.vocabulary.encode(text), self.vocabulary.end_id]
        inputs = torch.tensor([[[self.vocabulary.start_id, *tokens[:-1]]]], device=self.device)
        logits = self.network.decoder(grid, inputs, torch.ones_like(inputs, dtype=torch.bool))
        logprobs = logits.float().log_softmax(-1)  # (len(tokens), vocabulary)
        own = logprobs.gather(1, torch.tensor(tokens, device=self.device)[:, None])[:, 0]
        hypothesis = Hypothesis(tuple(tokens), tuple(own.tolist()), finished=True)
        return self._caption(hypothesis, self._look(grid, hypothesis, attention))

    def _decoding(self, changes: dict[str, Any]) -> DecodingConfig:
        """The bundle's defaults with a call's changes; pydantic checks the ranges."""
        given = {name: value for name, value in changes.items() if value is not None}
        if "beam_size" in given and "num_captions" not in given:
            default = self.config.decoding.num_captions
            given["num_captions"] = min(given["beam_size"], default)
        return replace(self.config.decoding, **given)

    def _look(self, grid: Tensor, hypothesis: Hypothesis, wanted: bool) -> list[Grid | None]:
        """Read a caption once more and note where the decoder looks before each token."""
        decoder = self.network.decoder
        if not wanted or decoder.config.kind == "global":
            return [None] * len(hypothesis.tokens)
        picture = decoder.begin(grid)
        state = tuple(part[:, None] for part in picture.start)
        seen: list[Grid | None] = []
        for token in (self.vocabulary.start_id, *hypothesis.tokens[:-1]):
            _, state, weights = decoder.step(
                torch.tensor([[token]], device=self.device), state, picture
            )
            assert weights is not None  # noqa: S101 - an attention decoder gives them
            rows = weights.reshape(grid.shape[1:3]).tolist()
            seen.append(tuple(tuple(row) for row in rows))
        return seen

    def _caption(self, hypothesis: Hypothesis, seen: Sequence[Grid | None]) -> Caption:
        names = self.vocabulary.tokens
        return Caption(
            text=self.vocabulary.decode(hypothesis.tokens),
            logprob=hypothesis.logprob,
            mean_logprob=hypothesis.logprob / len(hypothesis.tokens),
            finished=hypothesis.finished,
            tokens=tuple(
                Token(names[token], logprob, grid)
                for token, logprob, grid in zip(
                    hypothesis.tokens, hypothesis.logprobs, seen, strict=True
                )
            ),
        )
