"""A captioner's network run by PyTorch: on any device, and with the network at hand.

Knows modules and tensors; knows nothing of words, of beams or of files.
"""

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from model.arrays import Array
from model.encoder import Encoder
from model.folding import fold_batch_norm
from model.network import CaptionNetwork
from model.picture import Picture, State

__all__ = ["TorchRunner", "fast_encoder"]


class TorchRunner:
    """Runs encoder and decoder as they are, but that normalisation is folded; see `Runner`.

    Args:
        network: in which state it is does not matter; it is put into evaluation.
        size: of the pictures, in pixels.
        device: any that torch knows.
    """

    def __init__(self, network: CaptionNetwork, size: int, device: str | torch.device) -> None:
        self.device = str(device)
        self.network = network.eval().to(device)
        self.channels = network.encoder.channels
        self.encoder = fast_encoder(self.network.encoder, size)
        weights = next(network.parameters())
        self.exact = weights.device.type == "cpu" and weights.dtype == torch.float32

    @torch.inference_mode()
    def encode(self, pixels: NDArray[Any] | Tensor) -> Tensor:
        """Run the encoder, see `Runner.encode`."""
        on_device = self.place(pixels)
        grid: Tensor = self.encoder(on_device.contiguous(memory_format=torch.channels_last))
        return grid

    @torch.inference_mode()
    def begin(self, grid: Tensor) -> Picture:
        """Run the decoder's `begin`."""
        return self.network.decoder.begin(grid)

    @torch.inference_mode()
    def step(
        self, tokens: Tensor, state: State, picture: Picture
    ) -> tuple[Tensor, State, Tensor | None]:
        """Run the decoder's `step`."""
        return self.network.decoder.step(tokens, state, picture)

    def place(self, values: Array) -> Tensor:
        """Bring an array to the device, see `Runner.place`."""
        return torch.as_tensor(values).to(self.device)


def fast_encoder(encoder: Encoder, size: int) -> Encoder:
    """Copy an encoder for inference; the network keeps its own, as bundles hold it."""
    noise = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(0))
    folded = fold_batch_norm(encoder, noise.to(next(encoder.parameters()).device))
    return folded.to(memory_format=torch.channels_last)
