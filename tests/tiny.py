"""Tiny seeded models for the tests: real networks and real bundles, with random weights."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from model.bundle.write import save_bundle
from model.captioning.captioner import Captioner
from model.captioning.consensus import ConsensusReranker
from model.captioning.self_test import GoldenPicture
from model.config import (
    CalibrationConfig,
    CaptionerConfig,
    ConsensusConfig,
    DecoderConfig,
    DecodingConfig,
    EncoderConfig,
    GoldenConfig,
    PreprocessingConfig,
    RecurrentConfig,
    SamplingConfig,
    TextConfig,
)
from model.networks.caption_network import CaptionNetwork
from model.networks.class_names import ClassNames
from model.networks.image_context import ImageContext
from model.networks.text_network import TextNetwork
from model.text.language_model import LanguageModel
from model.training.finalize.expected_words import fit_expected_words
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
    # Untrained, all words are about as likely: spread them, so that a search has a choice.
    with torch.no_grad():
        for parameter in network.decoder.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
        if (names := network.decoder.class_names) is not None:
            _name_classes(names)
    return network


def _name_classes(names: ClassNames) -> None:
    """Let the last words of the vocabulary name classes that are about as likely."""
    names.rates.copy_(torch.rand_like(names.rates))
    names.usual.fill_(-3.0)
    names.words.copy_(torch.arange(len(tiny_vocabulary()))[-len(names.words) :])


def tiny_captioner(seed: int = 0, **decoder: object) -> Captioner:
    config = tiny_config(**decoder)
    return Captioner.of(tiny_network(config, seed), config, tiny_vocabulary())


def rebuild(captioner: Captioner, config: CaptionerConfig, **parts: Any) -> Captioner:
    """Build a captioner of the same network; `parts` as in `Captioner`."""
    return Captioner(captioner.runner, config, captioner.vocabulary, card=captioner.card, **parts)


def tiny_mean_context(captioner: Captioner, pictures: Sequence[Image.Image]) -> ImageContext:
    """The mean of what the decoder keeps of some pictures."""
    with torch.inference_mode():
        grid = captioner.encode(captioner.prepare(pictures))
        context = captioner.network.decoder.encode_context(grid)
    return ImageContext.from_dict({n: part.mean(0, True) for n, part in context.to_dict().items()})


def save_tiny_captioner(folder: Path, seed: int = 0, **decoder: object) -> Path:
    config = tiny_config(**decoder)
    network = tiny_network(config, seed)
    save_bundle(folder, config, network.state_dict(), tiny_vocabulary(), "# tiny\n\nFor tests.\n")
    return folder


CALIBRATION = CalibrationConfig(
    ("mean_logprob", "tokens", "log_beam_size"), (0.5, 0.1, -0.2), 0.4, 0.4, {"toys/val": 0.5}
)


COLOURS = ("red", "navy", "white")
SAID = (("a red ball on the grass", "a ball"), ("blue water",), ("a woman in the water",))


def tiny_consensus(
    captioner: Captioner, config: ConsensusConfig | None = None
) -> ConsensusReranker:
    """A reranker fitted to what was said of three pictures of one colour each."""
    pictures = [Image.new("RGB", (30, 20), colour) for colour in COLOURS]
    features = captioner.encode(captioner.prepare(pictures)).mean((1, 2))
    words = fit_expected_words(features, SAID, captioner.vocabulary, min_pictures=1)
    return ConsensusReranker(words, config or ConsensusConfig(), len(captioner.vocabulary))


def save_finalized_captioner(folder: Path, seed: int = 0) -> Path:
    """A tiny bundle with a consensus, a calibration, a mean picture and a golden picture."""
    bare = Captioner.load(save_tiny_captioner(folder, seed), "cpu", runtime="torch")
    reranker = tiny_consensus(bare)
    config = replace(
        bare.config,
        decoding=bare.config.decoding.merge(consensus=True),
        consensus=reranker.config,
        calibration=CALIBRATION,
    )
    pictures = [Image.new("RGB", (30, 20), colour) for colour in COLOURS]
    best = rebuild(bare, config, reranker=reranker).caption(pictures[0])[0]
    golden = GoldenPicture(pictures[0], GoldenConfig("golden/1.png", best.text, best.logprob))
    finalized = rebuild(
        bare,
        replace(config, golden=(golden.expected,)),
        reranker=reranker,
        mean_context=tiny_mean_context(bare, pictures),
        golden=[golden],
    )
    save_bundle(
        folder,
        finalized.config,
        finalized.network.state_dict(),
        finalized.vocabulary,
        finalized.card,
        files=finalized.optional_files(),
    )
    return folder


def sign(folder: Path, name: str) -> None:
    """Put a changed file's digest into the configuration, as an attacker would."""
    path = folder / "config.json"
    config = json.loads(path.read_text())
    config["sha256"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    path.write_text(json.dumps(config))


def tamper(folder: Path) -> Path:
    """Change a bundle's weights, and sign them."""
    path = folder / "model.safetensors"
    tensors = load_file(path)
    tensors["decoder.output_bias"] += torch.linspace(0, 3, len(tensors["decoder.output_bias"]))
    save_file(tensors, path)
    sign(folder, path.name)
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
    """A language model that knows the tokens of `text`; `network` as in `RecurrentConfig`."""
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
    return LanguageModel.of(made, config, vocabulary, card="# tiny\n\nFor tests.\n")


def save_tiny_language_model(folder: Path, seed: int = 0, **options: Any) -> Path:
    """The bundle of a `tiny_language_model`."""
    language_model = tiny_language_model(seed, **options)
    save_bundle(
        folder,
        language_model.config,
        language_model.network.state_dict(),
        language_model.vocabulary,
        language_model.card,
    )
    return folder
