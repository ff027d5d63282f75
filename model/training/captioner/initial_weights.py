"""Where a network's first weights come from: a file of the encoder's, or another run's.

Knows files and whether they fit; knows nothing of what the network is then taught.
"""

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
    """Make the network that a recipe begins with, random where the recipe names no weights.

    Raises:
        ValueError: weights do not fit.
        FileNotFoundError: weights are not there.
    """
    network = CaptionNetwork(config, len(data.vocabulary), pretrained=recipe.pretrained)
    # Faster on a CPU where the encoder is tuned: forward and backward of EfficientNet-Lite0, its
    # last twelve stages tuned, took 20 ms a picture so, and 33 ms otherwise.
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
    """Fill the trunk from a file in the CNN's own names; a classifier there is left out.

    Raises:
        ValueError: it is of another CNN, or no safetensors file.
        FileNotFoundError: it is not there.
    """
    target = getattr(encoder.trunk, "network", encoder.trunk)
    expected = target.state_dict()
    state = {name: t for name, t in _read(path).items() if name in expected}
    check_tensors({n: tuple(t.shape) for n, t in state.items()}, expected, str(path))
    target.load_state_dict(state)


def load_initial_weights(
    network: CaptionNetwork, path: Path, config: CaptionerConfig, vocabulary: Vocabulary
) -> None:
    """Fill a network from a bundle, or from a run's `best.safetensors`, which is more precise.

    Words, encoder and decoder must be the same, all but the dropout. Beside a run's weights they
    are known once it has ended and written its bundle; before that, shapes must do.

    Args:
        network: of that configuration.
        path: the bundle's folder, or the file.
        config, vocabulary: what the network is now to be trained as.

    Raises:
        ValueError: it does not fit; the message names the first difference.
        FileNotFoundError: it is not there.
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
        raise ValueError(f"{path} is of another network than this recipe's: {error}") from error


def _read(path: Path) -> dict[str, Tensor]:
    with complete_safetensors(path):
        return load_file(path)


def _compare_words(folder: Path, theirs: Vocabulary, ours: Vocabulary) -> None:
    if theirs.tokens == ours.tokens:
        return
    pairs = enumerate(zip_longest(theirs.tokens, ours.tokens))
    place, their, our = next((i, their, our) for i, (their, our) in pairs if their != our)
    raise ValueError(
        f"{folder} knows {len(theirs)} tokens and this recipe's data give {len(ours)}; the first "
        f"to differ is number {place}, {their!r} there and {our!r} here: train on the same sets "
        "with the same min_count"
    )


def _compare_parts(folder: Path, theirs: CaptionerConfig, ours: CaptionerConfig) -> None:
    # Shapes do not tell everything: the number of heads, say.
    for part in ("encoder", "decoder"):
        there, here = (asdict(getattr(config, part)) for config in (theirs, ours))
        for name in there:
            if name != "dropout" and there[name] != here[name]:
                raise ValueError(
                    f"{folder} has {part}.{name} = {there[name]!r}, and this recipe {here[name]!r}"
                )
