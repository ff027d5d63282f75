"""The loss of a batch of captions.

Knows the network and its batches; knows nothing of optimisers or processes.
"""

from typing import NamedTuple

from torch import Tensor, nn

from model.captioner import CaptionNetwork
from model.data.batches import CaptionBatch

__all__ = ["CaptionLoss", "Losses"]


class Losses(NamedTuple):
    """What a batch costs, each summed over it, in nats: its words, and the detector's misses."""

    captions: Tensor
    detector: Tensor


class CaptionLoss(nn.Module):
    """The network and its loss in one forward pass, as distributed training wants it."""

    def __init__(self, network: CaptionNetwork, label_smoothing: float) -> None:
        super().__init__()
        self.network = network
        self.label_smoothing = label_smoothing

    def forward(self, pictures: Tensor, captions: CaptionBatch, sampling: float) -> Losses:
        """Sum the cross-entropies over the tokens of a batch, and over its detected words.

        `pictures` are grids where the encoder is frozen, else pixels.
        """
        network = self.network
        # Kept grids are in half precision.
        grid = pictures.float() if network.encoder.frozen else network.encoder(pictures)
        logits = network.decoder(grid, captions.inputs, captions.reads, sampling=sampling)
        words = nn.functional.cross_entropy(
            logits.float(),
            captions.targets[captions.reads],
            label_smoothing=self.label_smoothing if self.training else 0.0,
            reduction="sum",
        )
        return Losses(words, self._detector_loss(grid, captions))

    def _detector_loss(self, grid: Tensor, captions: CaptionBatch) -> Tensor:
        detector = self.network.decoder.detector
        if detector is None:
            return grid.new_zeros(())
        missed = nn.functional.binary_cross_entropy_with_logits(
            detector.log_odds(grid), detector.said(captions.targets), reduction="none"
        )
        # A process that has no captions to read in this step has no picture to look at either.
        return missed.sum(1) @ captions.reads.any(-1).any(-1).float()
