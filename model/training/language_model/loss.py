"""The loss of a chunk of text, and of a whole one.

Knows the network and its tokens; knows nothing of optimisers or processes.
"""

import torch
from torch import Tensor, nn

from model.data.corpus import streams
from model.networks.cells import CellState
from model.networks.text_network import TextNetwork

__all__ = ["TextLoss", "nats_per_token"]

_STREAMS = 32
_STEPS = 256


class TextLoss(nn.Module):
    """The network and its loss in one forward pass, as distributed training wants it.

    Args:
        network: foretells.
        start_id: the start token, which is not foretold.
    """

    def __init__(self, network: TextNetwork, start_id: int) -> None:
        super().__init__()
        self.network = network
        self.start_id = start_id

    def forward(self, chunk: Tensor, state: CellState) -> tuple[Tensor, Tensor, CellState]:
        """Foretell each token of a chunk.

        Args:
            chunk: ids (streams, steps + 1), the last of which is only foretold.
            state: each (layers, streams, hidden)

        Returns:
            The sum of the negative log-probabilities, natural; of how many tokens (where a new
            text starts is not foretold); and the state after the chunk.
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
    """Give the mean negative natural log-probability of a token; the network is put to evaluation.

    A long text is read in a few streams side by side, so that it is quick; the first tokens of
    each know nothing of what was before them, and the result is a little too high for it.
    """
    device = next(network.parameters()).device
    count = min(_STREAMS, max(1, len(tokens) // _STEPS))
    text = streams(tokens, count, start_id).to(device)
    loss = TextLoss(network.eval(), start_id)
    state, total, counted = network.initial_state(len(text)), 0.0, 0
    for start in range(0, text.shape[1] - 1, _STEPS):
        nats, foretold, state = loss(text[:, start : start + _STEPS + 1], state)
        total, counted = total + float(nats), counted + int(foretold)
    return total / counted
