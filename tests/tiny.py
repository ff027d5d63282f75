"""Tiny seeded models for the tests: real networks and real bundles, with random weights."""

from pathlib import Path
from typing import Any

import torch

from model.bundle import save_bundle
from model.captioner import Captioner, CaptionNetwork
from model.config import (
    CaptionerConfig,
    DecoderConfig,
    DecodingConfig,
    EncoderConfig,
    PreprocessingConfig,
    RecurrentConfig,
    SamplingConfig,
    TextConfig,
)
from model.language_model import LanguageModel
from model.text_network import TextNetwork
from model.vocabulary import Level, Vocabulary

VERSE = "Twinkle, twinkle, little star,\nHow I wonder what you are.\n"
WORDS = "a the dog cat man woman red blue ball runs sits on in with of grass water and".split()


def tiny_config(**decoder: object) -> CaptionerConfig:
    sizes = {"embedding_size": 12, "hidden_size": 16, "attention_size": 8} | decoder
    return CaptionerConfig(
        name="tiny",
        version="0",
        preprocessing=PreprocessingConfig(size=64),
        encoder=EncoderConfig("timm/test_efficientnet"),
        decoder=DecoderConfig(**sizes),  # type: ignore[arg-type]
        decoding=DecodingConfig(),
    )


def tiny_vocabulary() -> Vocabulary:
    return Vocabulary.build([" ".join(WORDS)])


def tiny_network(config: CaptionerConfig, seed: int = 0) -> CaptionNetwork:
    torch.manual_seed(seed)
    network = CaptionNetwork(config, len(tiny_vocabulary()))
    # Untrained, every word is as likely as any other: spread them, so that a search has a choice.
    with torch.no_grad():
        for parameter in network.decoder.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    return network


def tiny_captioner(seed: int = 0, **decoder: object) -> Captioner:
    config = tiny_config(**decoder)
    return Captioner(tiny_network(config, seed), config, tiny_vocabulary())


def save_tiny_captioner(folder: Path, seed: int = 0, **decoder: object) -> Path:
    config = tiny_config(**decoder)
    network = tiny_network(config, seed)
    save_bundle(folder, config, network.state_dict(), tiny_vocabulary(), "# tiny\n\nFor tests.\n")
    return folder


def tiny_language_model(
    seed: int = 0,
    *,
    text: str = VERSE,
    level: Level = "character",
    ends: bool = False,
    sampling: SamplingConfig | None = None,
    **network: object,
) -> LanguageModel:
    """A writer that knows the tokens of `text`; `network` as in `RecurrentConfig`."""
    vocabulary = Vocabulary.build([text], level)
    sizes = {"hidden_size": 12} | network
    config = TextConfig(
        name="tiny-writer",
        version="0",
        level=level,
        network=RecurrentConfig(**sizes),  # type: ignore[arg-type]
        sampling=sampling or SamplingConfig(max_tokens=20),
        ends=ends,
    )
    torch.manual_seed(seed)
    made = TextNetwork(config.network, len(vocabulary))
    with torch.no_grad():  # spread, as in `tiny_network`
        for parameter in made.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    return LanguageModel(made, config, vocabulary, card="# tiny\n\nFor tests.\n")


def save_tiny_language_model(folder: Path, seed: int = 0, **options: Any) -> Path:
    """The bundle of a `tiny_language_model`."""
    writer = tiny_language_model(seed, **options)
    save_bundle(folder, writer.config, writer.network.state_dict(), writer.vocabulary, writer.card)
    return folder
