"""What takes the steps in which texts are written: the interface of every runtime, and PyTorch's.

Knows networks, ids and arrays; knows nothing of chance or of texts.
"""

from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from model.arrays import Array
from model.networks.text_network import TokenNetwork

__all__ = ["TextRunner", "TextState", "TorchTextRunner"]

TextState = tuple[Array, ...]  # each (any, rows, any), whatever arrays the runtime works with


class TextRunner(Protocol):
    """A language model's network in evaluation; for one thread at a time."""

    def step(
        self, tokens: NDArray[np.int64], state: TextState
    ) -> tuple[NDArray[np.float32], TextState]:
        """Read one token a row and give the log-probabilities of the next.

        Args:
            tokens: (rows,)
            state: each (any, rows, any)

        Returns:
            log-probabilities, natural (rows, vocabulary); the next state.
        """

    def place(self, state: TextState) -> TextState:
        """Give PyTorch's state as the runtime's own."""


class TorchTextRunner:
    """Runs a network as it is, on any device; see `TextRunner`.

    Args:
        network: in evaluation, on the device.
    """

    def __init__(self, network: TokenNetwork, device: torch.device) -> None:
        self._network = network
        self._device = device

    @torch.inference_mode()
    def step(
        self, tokens: NDArray[np.int64], state: TextState
    ) -> tuple[NDArray[np.float32], TextState]:
        """Run the network's `step`, see `TextRunner.step`."""
        logits, state = self._network.step(torch.from_numpy(tokens).to(self._device), state)
        found: NDArray[Any] = logits.float().log_softmax(-1).cpu().numpy()
        return found, state

    def place(self, state: TextState) -> TextState:
        """Give the state back: it is a tensor's already."""
        return state
