"""Encoder and decoder in one module: what is trained, and what a bundle stores."""

import torch
from torch import nn

from model.bundle.format import BundleError
from model.bundle.read import Bundle
from model.config import CaptionerConfig
from model.networks.decoder import Decoder, make_decoder
from model.networks.encoder import Encoder
from model.networks.weights import load_weights

__all__ = ["CaptionNetwork", "load_caption_network"]


class CaptionNetwork(nn.Module):
    """A CNN encoder and a recurrent decoder."""

    def __init__(
        self, config: CaptionerConfig, vocabulary_size: int, *, pretrained: bool = False
    ) -> None:
        super().__init__()
        self.encoder = Encoder(config.encoder, pretrained=pretrained)
        self.decoder: Decoder = make_decoder(config.decoder, vocabulary_size, self.encoder.channels)


def load_caption_network(bundle: Bundle[CaptionerConfig]) -> CaptionNetwork:
    """Build a bundle's network, with its weights in float32, on the CPU.

    Raises:
        BundleError: there is no such network, or the weights do not fit it.
    """
    try:
        with torch.device("meta"):  # shapes only: memory is allocated once they are known to fit
            network = CaptionNetwork(bundle.config, len(bundle.vocabulary))
    except (ValueError, RuntimeError) as error:
        raise BundleError(f"{bundle.folder}: {error}") from error
    load_weights(bundle, network)
    return network
