"""A captioner's initial weights: random, from a file of the encoder's, or from another run."""

from pathlib import Path

import torch

from model.bundle.tensors import check_tensors
from model.config import CaptionerConfig
from model.networks.caption_network import CaptionNetwork
from model.networks.encoder import Encoder
from model.training.captioner.data import TrainingData
from model.training.initial_weights import load_initial_weights, read_weights
from model.training.recipe import CaptionerRecipe

__all__ = ["first_network", "load_encoder_weights"]


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
        load_initial_weights(
            network,
            Path(recipe.initial_weights),
            config,
            data.vocabulary,
            ("encoder", "decoder"),
        )
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
    state = {name: t for name, t in read_weights(path).items() if name in expected}
    check_tensors({n: tuple(t.shape) for n, t in state.items()}, expected, str(path))
    target.load_state_dict(state)
