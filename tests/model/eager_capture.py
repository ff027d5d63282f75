"""Captured graphs without a GPU: a replay calls the function again, on the same tensors."""

from collections.abc import Callable
from concurrent.futures import Future

import pytest
import torch
from torch import Tensor

from model.runtime.cuda_graphs import CudaGraphCapture, Replay

DEVICES = [
    "cpu",
    pytest.param(
        "cuda",
        marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU"),
    ),
]


class EagerCapture:
    """Notes the batch size and the width of every call that it captures."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.widths: list[int] = []

    def __call__(
        self, function: Callable[..., tuple[Tensor, ...]], inputs: tuple[Tensor, ...]
    ) -> Future[Replay]:
        self.batches.append(len(inputs[0]))
        self.widths.append(inputs[0].shape[-1])
        outputs = tuple(output.clone() for output in function(*inputs))

        def replay() -> None:
            for output, result in zip(outputs, function(*inputs), strict=True):
                output.copy_(result)

        captured: Future[Replay] = Future()
        captured.set_result((replay, outputs))
        return captured


def capture_on(device: str) -> EagerCapture | CudaGraphCapture:
    """Return what captures calls on one of `DEVICES`."""
    return EagerCapture() if device == "cpu" else CudaGraphCapture()
