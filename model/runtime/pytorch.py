"""Run networks with PyTorch, on any device."""

from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.arrays import Array
from model.networks.folding import FoldedNorm, fold_batch_norm
from model.networks.image_context import DecoderState, ImageContext
from model.networks.text_network import TextNetwork
from model.runtime.base import TextState, WholeSearch
from model.runtime.options import Precision
from model.runtime.usual_words import usual_words

if TYPE_CHECKING:  # they import timm and torchvision, which language models do without
    from model.networks.caption_network import CaptionNetwork
    from model.networks.encoder import Encoder

__all__ = ["TorchRunner", "TorchTextRunner", "full_precision", "inference_encoder"]


class TorchRunner:
    """Runs encoder and decoder as they are, with batch normalisation folded; see `Runner`.

    Args:
        network: in training or evaluation; it is put into evaluation.
        size: of the pictures, in pixels.
        device: any that PyTorch supports.
        precision: of weights and most arithmetic; the network's weights are converted to it. The
            recurrent state and log-probabilities are always float32.
    """

    name = "torch"
    takes_bytes = False
    captured_sizes: tuple[int, ...] = ()

    def __init__(
        self,
        network: "CaptionNetwork",
        size: int,
        device: str | torch.device,
        precision: Precision = "float32",
    ) -> None:
        self.device = str(device)
        self.search: WholeSearch | None = None
        self.channels = network.encoder.channels
        self._dtype: torch.dtype = getattr(torch, precision)
        network = network.eval().to(device)
        self.usual_words = usual_words(
            {
                name: (tensor.float() if tensor.is_floating_point() else tensor).cpu().numpy()
                for name, tensor in network.state_dict().items()
                if name.endswith((".usual", ".class_names.words"))
            }
        )
        # Folded before it is rounded.
        self.encoder = inference_encoder(network.encoder, size)[0].to(self._dtype)
        self.network = network.to(self._dtype)
        self.exact = torch.device(device).type == "cpu" and self._dtype == torch.float32

    @torch.inference_mode()
    def encode(self, pixels: NDArray[Any] | Tensor) -> Tensor:
        """Run the encoder, see `Runner.encode`."""
        on_device = self.place(pixels).contiguous(memory_format=torch.channels_last)
        with full_precision:
            grid: Tensor = self.encoder(on_device)
        return grid.float()  # as stored features are; and NumPy has no bfloat16

    @torch.inference_mode()
    def encode_context(self, grid: Tensor) -> ImageContext:
        """Run the decoder's `encode_context`."""
        return self.network.decoder.encode_context(grid.to(self._dtype))

    @torch.inference_mode()
    def step(
        self, tokens: Tensor, state: DecoderState, context: ImageContext
    ) -> tuple[Tensor, DecoderState, Tensor | None]:
        """Run the decoder's `step`."""
        return self.network.decoder.step(tokens, state, context)

    def place(self, values: Array) -> Tensor:
        """Move an array to the device, see `Runner.place`."""
        tensor = torch.as_tensor(values).to(self.device)
        return tensor.to(self._dtype) if tensor.is_floating_point() else tensor

    def synchronize(self) -> None:
        """Wait for the device, see `Runner.synchronize`."""
        if self.device.startswith("cuda"):  # not the whole device, which may be capturing a graph
            torch.cuda.current_stream(self.device).synchronize()
        elif self.device != "cpu":
            torch.accelerator.synchronize(self.device)

    def finish_captures(self) -> None:
        """Return at once: nothing is captured here, see `Runner.finish_captures`."""


class _FullPrecision:
    """Lets float32 convolutions on an NVIDIA GPU be that, and not TF32.

    PyTorch's default keeps ten bits of each factor, which changes a caption's log-probability in
    its first decimal. The setting is the whole process's, so the last thread to leave restores it.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._threads = 0
        self._before = True

    def __enter__(self) -> None:
        with self._lock:
            if self._threads == 0:
                self._before = torch.backends.cudnn.allow_tf32
                torch.backends.cudnn.allow_tf32 = False
            self._threads += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._threads -= 1
            if self._threads == 0:
                torch.backends.cudnn.allow_tf32 = self._before


full_precision = _FullPrecision()


class TorchTextRunner:
    """Runs a language model's network as it is, on any device; see `TextRunner`.

    Args:
        network: it is put into evaluation.
        device: any that PyTorch supports.
    """

    has_units = True

    def __init__(self, network: TextNetwork, device: str | torch.device) -> None:
        self.network = network.eval().to(device)
        self.device = str(device)

    def initial_state(self) -> TextState:
        """Return one text's state before its first token, see `TextRunner.initial_state`."""
        return self.network.initial_state(1)

    @torch.inference_mode()
    def read(
        self, tokens: NDArray[np.int64], state: TextState
    ) -> tuple[NDArray[np.float32], TextState]:
        """Run one text through the network, see `TextRunner.read`."""
        logits, state = self.network(self._place_tokens(tokens)[None], state)
        return _to_logprobs(logits[0]), state

    @torch.inference_mode()
    def step(
        self, tokens: NDArray[np.int64], state: TextState
    ) -> tuple[NDArray[np.float32], TextState]:
        """Run the network's `step`, see `TextRunner.step`."""
        logits, state = self.network.step(self._place_tokens(tokens), state)
        return _to_logprobs(logits), state

    def place(self, state: TextState) -> TextState:
        """Move a state to the device, see `TextRunner.place`."""
        return tuple(torch.as_tensor(part).to(self.device) for part in state)

    def _place_tokens(self, tokens: NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(tokens).to(self.device)


def _to_logprobs(logits: Tensor) -> NDArray[np.float32]:
    logprobs: NDArray[np.float32] = logits.float().log_softmax(-1).cpu().numpy()
    return logprobs


def inference_encoder(encoder: "Encoder", size: int) -> "tuple[Encoder, list[FoldedNorm]]":
    """Return a copy of an encoder for inference, and which layers were folded in it.

    The original stays as bundles store it.
    """
    noise = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(0))
    folded, norms = fold_batch_norm(encoder, noise.to(next(encoder.parameters()).device))
    return folded.to(memory_format=torch.channels_last), norms
