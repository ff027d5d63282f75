"""A network's initial weights: random, from a file of the encoder's, or from another run."""

from dataclasses import asdict
from itertools import zip_longest
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from model.bundle.format import WEIGHTS
from model.bundle.read import load_bundle
from model.bundle.tensors import check_tensors, complete_safetensors
from model.config import CaptionerConfig
from model.networks.caption_network import CaptionNetwork
from model.networks.encoder import Encoder
from model.training.captioner.data import TrainingData
from model.training.recipe import CaptionerRecipe
from model.vocabulary import Vocabulary

__all__ = ["first_network", "load_encoder_weights", "load_initial_weights"]


def first_network(
    recipe: CaptionerRecipe, config: CaptionerConfig, data: TrainingData
) -> CaptionNetwork:
    """Build the network that a recipe begins with, random unless the recipe names weights.

    Raises:
        ValueError: the weights do not fit.
        FileNotFoundError: a file of weights is missing.
    """
    network = CaptionNetwork(config, len(data.vocabulary), pretrained=recipe.pretrained)
    # Faster on a CPU if the encoder is tuned: forward and backward of EfficientNet-Lite0, its
    # last twelve stages tuned, took 20 ms a picture, and 33 ms without this.
    network.encoder.to(memory_format=torch.channels_last)
    if recipe.initial_weights:
        load_initial_weights(network, Path(recipe.initial_weights), config, data.vocabulary)
        return network
    if recipe.encoder_weights:
        load_encoder_weights(network.encoder, Path(recipe.encoder_weights))
    if network.decoder.detector:
        network.decoder.detector.expect(data.word_rates())
    return network


def load_encoder_weights(encoder: Encoder, path: Path) -> None:
    """Load the trunk from a file with the CNN library's names; a classifier in it is ignored.

    Raises:
        ValueError: the file has the weights of another CNN, or is not a safetensors file.
        FileNotFoundError: there is no such file.
    """
    target = getattr(encoder.trunk, "network", encoder.trunk)
    expected = target.state_dict()
    state = {name: t for name, t in _read(path).items() if name in expected}
    check_tensors({n: tuple(t.shape) for n, t in state.items()}, expected, str(path))
    target.load_state_dict(state)


def load_initial_weights(
    network: CaptionNetwork, path: Path, config: CaptionerConfig, vocabulary: Vocabulary
) -> None:
    """Load a network from a bundle, or from a run's `best.safetensors`, which is more precise.

    Words, encoder and decoder must be the same, except for the dropout. For a run's weights this
    is only checked once the run has ended and written its bundle; before that, only shapes are.

    Args:
        network: is filled.
        path: the bundle's folder, or the file.
        config, vocabulary: of the network.

    Raises:
        ValueError: the weights do not fit; the message names the first difference.
        FileNotFoundError: there is no such file.
    """
    is_bundle = path.is_dir()
    folder = path if is_bundle else path.parent / "bundle"
    if folder.is_dir():
        bundle = load_bundle(folder, CaptionerConfig)
        _compare_words(folder, bundle.vocabulary, vocabulary)
        _compare_parts(folder, bundle.config, config)
    try:
        network.load_state_dict(_read(path / WEIGHTS if is_bundle else path))
    except RuntimeError as error:
        raise ValueError(
            f"{path} has the weights of another network than this recipe's: {error}"
        ) from error


def _read(path: Path) -> dict[str, Tensor]:
    with complete_safetensors(path):
        return load_file(path)


def _compare_words(folder: Path, theirs: Vocabulary, ours: Vocabulary) -> None:
    if theirs.tokens == ours.tokens:
        return
    pairs = enumerate(zip_longest(theirs.tokens, ours.tokens))
    index, (there, here) = next((i, pair) for i, pair in pairs if pair[0] != pair[1])
    raise ValueError(
        f"{folder} has {len(theirs)} tokens and this recipe's data give {len(ours)}; the first "
        f"difference is token {index}, {there!r} there and {here!r} here: train on the "
        "same sets with the same min_count"
    )


def _compare_parts(folder: Path, theirs: CaptionerConfig, ours: CaptionerConfig) -> None:
    # Shapes do not show every difference, such as the number of attention heads.
    for part in ("encoder", "decoder"):
        there, here = (asdict(getattr(config, part)) for config in (theirs, ours))
        for name in there:
            if name != "dropout" and there[name] != here[name]:
                raise ValueError(
                    f"{folder} has {part}.{name} = {there[name]!r}, and this recipe {here[name]!r}"
                )
