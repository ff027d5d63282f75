"""The loss of a batch of captions."""

import torch
from torch import Tensor, nn

from model.data.batches import CaptionBatch
from model.networks.caption_network import CaptionNetwork
from model.training.task import Losses, Mean

__all__ = ["CaptionLoss"]


class CaptionLoss(nn.Module):
    """The network and its loss in one forward pass, as distributed training needs."""

    def __init__(self, network: CaptionNetwork, label_smoothing: float) -> None:
        super().__init__()
        self.network = network
        self.label_smoothing = label_smoothing

    def forward(self, pictures: Tensor, captions: CaptionBatch, sampling: float) -> Losses:
        """Compute the cross-entropies of a batch's tokens and of its detected words, in nats.

        `pictures` are grids if the encoder is frozen, else pixels. Both losses are means over the
        tokens, and the first is watched as `loss`.
        """
        grid = self.grid(pictures)
        tokens = self.cross_entropy(grid, captions, sampling)
        detector = Mean(self._detector_loss(grid, captions), tokens.weight)
        return Losses((tokens, detector), {"loss": tokens.detached()})

    def grid(self, pictures: Tensor) -> Tensor:
        """Return the grids of a batch: (pictures, rows, columns, channels)."""
        if self.network.encoder.frozen:
            return pictures.float()  # cached grids are in half precision
        pixels = pictures.contiguous(memory_format=torch.channels_last)
        # On a CPU mixed precision is slower once many stages are tuned: forward and backward of
        # EfficientNet-Lite0, its last twelve tuned, took 31 ms a picture, and 20 ms without it.
        device = pixels.device.type
        mixed = torch.is_autocast_enabled(device) and device != "cpu"
        with torch.autocast(device, enabled=mixed):
            grid: Tensor = self.network.encoder(pixels)
        return grid

    def cross_entropy(self, grid: Tensor, captions: CaptionBatch, sampling: float) -> Mean:
        """Compute the cross-entropy of a batch's tokens, in nats."""
        decoder = self.network.decoder
        logits = decoder(grid, captions.inputs, captions.reads, sampling=sampling)
        total = nn.functional.cross_entropy(
            logits.float(),
            captions.targets[captions.reads],
            label_smoothing=self.label_smoothing if self.training else 0.0,
            reduction="sum",
        )
        return Mean(total, captions.reads.sum())

    def _detector_loss(self, grid: Tensor, captions: CaptionBatch) -> Tensor:
        detector = self.network.decoder.detector
        if detector is None:
            return grid.new_zeros(())
        losses = nn.functional.binary_cross_entropy_with_logits(
            detector.log_odds(grid), detector.said(captions.targets), reduction="none"
        )
        # A process without captions to read in this step must not count their pictures either.
        return losses.sum(1) @ captions.pictures.float()
