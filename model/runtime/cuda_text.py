"""Run a language model's network on an NVIDIA GPU by replaying CUDA graphs."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.networks.text_network import TextNetwork
from model.runtime.base import TextState
from model.runtime.cuda_graphs import Capture, CapturedGraphs, CudaGraphCapture
from model.runtime.pytorch import TorchTextRunner

__all__ = ["CudaGraphTextRunner"]


class CudaGraphTextRunner(TorchTextRunner):
    """Replays the step of all texts, and reads prompts as they come; see `TextRunner`.

    Args:
        network, device: as for `TorchTextRunner`.
        capture: how a call is captured; None captures CUDA graphs, in the background.
    """

    def __init__(
        self, network: TextNetwork, device: str | torch.device, capture: Capture | None = None
    ) -> None:
        super().__init__(network, device)

        def step(tokens: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
            logits, state = network.step(tokens, _swap(state))
            return logits.float().log_softmax(-1), *_swap(state)

        capture = CudaGraphCapture(background=True) if capture is None else capture
        self._step = CapturedGraphs(step, capture)

    @torch.inference_mode()
    def step(
        self, tokens: NDArray[np.int64], state: TextState
    ) -> tuple[NDArray[np.float32], TextState]:
        """Run the network's `step`, see `TextRunner.step`."""
        logprobs, *state_after = self._step(self._place_tokens(tokens), *_swap(state))
        return logprobs.cpu().numpy(), _swap(state_after)


def _swap(state: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Put rows first, or layers: (layers, rows, hidden) <-> (rows, layers, hidden)."""
    return tuple(part.transpose(0, 1) for part in state)
