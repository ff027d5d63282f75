"""The loss of a chunk of text, and of a whole text."""

import torch
from torch import Tensor, nn

from model.data.corpus import streams
from model.networks.cells import CellState
from model.networks.text_network import TextNetwork

__all__ = ["TextLoss", "nats_per_token"]

_STREAMS = 32
_STEPS = 256


class TextLoss(nn.Module):
    """The network and its loss in one forward pass, as distributed training needs.

    Args:
        network: predicts the tokens.
        start_id: the start token, which is not predicted.
    """

    def __init__(self, network: TextNetwork, start_id: int) -> None:
        super().__init__()
        self.network = network
        self.start_id = start_id

    def forward(self, chunk: Tensor, state: CellState) -> tuple[Tensor, Tensor, CellState]:
        """Compute the loss of each token of a chunk.

        Args:
            chunk: ids (streams, steps + 1), the last of which is only predicted.
            state: each part (layers, streams, hidden).

        Returns:
            The sum of the negative log-probabilities in nats; the number of predicted tokens
            (start tokens are not predicted); and the state after the chunk.
        """
        logits, state = self.network(chunk[:, :-1], state)
        targets = chunk[:, 1:]
        loss = nn.functional.cross_entropy(
            logits.flatten(0, 1).float(),
            targets.flatten(),
            ignore_index=self.start_id,
            reduction="sum",
        )
        return loss, (targets != self.start_id).sum(), state


@torch.inference_mode()
def nats_per_token(network: TextNetwork, tokens: Tensor, start_id: int) -> float:
    """Return the mean negative log-probability of a token, in nats.

    The network is switched to evaluation mode. A long text is read in a few streams side by side,
    to be quick; the first tokens of each are predicted without the text before them, so that the
    result is slightly too high.
    """
    device = next(network.parameters()).device
    rows = min(_STREAMS, max(1, len(tokens) // _STEPS))
    text = streams(tokens, rows, start_id).to(device)
    loss = TextLoss(network.eval(), start_id)
    state, total, count = network.initial_state(len(text)), 0.0, 0
    for start in range(0, text.shape[1] - 1, _STEPS):
        nats, predicted, state = loss(text[:, start : start + _STEPS + 1], state)
        total, count = total + float(nats), count + int(predicted)
    return total / count
