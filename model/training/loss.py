"""The loss of a batch of captions.

Knows the network and its batches; knows nothing of optimisers or processes.
"""

from torch import Tensor, nn

from model.captioner import CaptionNetwork
from model.data.batches import CaptionBatch

__all__ = ["CaptionLoss"]


class CaptionLoss(nn.Module):
    """The network and its loss in one forward pass, as distributed training wants it."""

    def __init__(self, network: CaptionNetwork, label_smoothing: float) -> None:
        super().__init__()
        self.network = network
        self.label_smoothing = label_smoothing

    def forward(self, pictures: Tensor, captions: CaptionBatch, sampling: float) -> Tensor:
        """Sum the cross-entropy over the tokens of a batch, natural logarithm.

        `pictures` are grids where the encoder is frozen, else pixels.
        """
        network = self.network
        # Kept grids are in half precision.
        grid = pictures.float() if network.encoder.frozen else network.encoder(pictures)
        logits = network.decoder(grid, captions.inputs, captions.reads, sampling=sampling)
        return nn.functional.cross_entropy(
            logits.float(),
            captions.targets[captions.reads],
            label_smoothing=self.label_smoothing if self.training else 0.0,
            reduction="sum",
        )
