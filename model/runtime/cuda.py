"""Run a captioner's network on an NVIDIA GPU by replaying CUDA graphs."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from model.decoding.hypothesis import SearchState, StepFunction
from model.networks.caption_network import CaptionNetwork
from model.networks.image_context import DecoderState, ImageContext
from model.runtime.captured_search import CapturedSearch
from model.runtime.cuda_graphs import BATCH_SIZES, Capture, CapturedGraphs, CudaGraphCapture
from model.runtime.graphs import ContextEncoder, DecoderStep, step_context
from model.runtime.options import Precision
from model.runtime.pytorch import TorchRunner, full_precision

__all__ = ["CudaGraphRunner"]


class CudaGraphRunner(TorchRunner):
    """Replays encoder and decoder; see `Runner`.

    Args:
        network, size, device, precision: as for `TorchRunner`.
        tables: of the pictures' bytes, see `Preprocessing`; None: it takes no bytes.
        capture: how a call is captured; None captures CUDA graphs, in the background.
    """

    name = "cuda_graphs"
    captured_sizes = BATCH_SIZES

    def __init__(
        self,
        network: CaptionNetwork,
        size: int,
        device: str | torch.device,
        precision: Precision = "float32",
        *,
        tables: NDArray[np.float32] | None = None,
        capture: Capture | None = None,
    ) -> None:
        network = network.eval().to(device)
        decoder, dtype = network.decoder, getattr(torch, precision)
        with torch.no_grad():
            blank = torch.zeros(1, 1, 1, decoder.channels, device=device)
            self._context_names = tuple(decoder.encode_context(blank).to_dict())
            self._step_names = tuple(n for n in self._context_names if not n.startswith("start."))
            step = DecoderStep(decoder, self._step_names).to(dtype)  # folded before it is rounded
        super().__init__(network, size, device, precision)
        capture = CudaGraphCapture(background=True) if capture is None else capture
        self._capture = capture
        encoder, states = self.encoder, len(self._context_names) - len(self._step_names)

        def encode(pixels: Tensor) -> tuple[Tensor, ...]:
            with full_precision:
                return (encoder(pixels),)

        self._encode = CapturedGraphs(encode, capture)
        self.takes_bytes = tables is not None
        if tables is not None:
            self.normalise = normalise = _Normalise(tables).to(device, dtype)
            self._encode_bytes = CapturedGraphs(lambda pixels: encode(normalise(pixels)), capture)
        self._encode_context = CapturedGraphs(ContextEncoder(decoder), capture)
        self._decoder_step = step
        self._step = CapturedGraphs(
            lambda tokens, *rest: step(tokens, rest[:states], rest[states:]), capture
        )
        self.search = CapturedSearch(self._start_search, capture)
        self._last_context: tuple[ImageContext, tuple[Tensor, ...]] | None = None

    @torch.inference_mode()
    def encode(self, pixels: NDArray[Any] | Tensor) -> Tensor:
        """Run the encoder, see `Runner.encode`."""
        if pixels.dtype in (np.uint8, torch.uint8):
            return self._encode_bytes(self.place(pixels))[0].float()
        on_device = self.place(pixels).contiguous(memory_format=torch.channels_last)
        return self._encode(on_device)[0].float()

    @torch.inference_mode()
    def encode_context(self, grid: Tensor) -> ImageContext:
        """Run the decoder's `encode_context`."""
        arrays = self._encode_context(grid.to(self._dtype))
        return ImageContext.from_dict(dict(zip(self._context_names, arrays, strict=True)))

    @torch.inference_mode()
    def step(
        self, tokens: Tensor, state: DecoderState, context: ImageContext
    ) -> tuple[Tensor, DecoderState, Tensor | None]:
        """Run the decoder's `step`."""
        if self._last_context is None or self._last_context[0] is not context:
            arrays = step_context(self.network.decoder, context.to_dict())
            inputs = tuple(arrays[name].contiguous() for name in self._step_names)
            self._last_context = context, inputs
        # The state is in float32 whatever the precision, except where a mean picture starts it.
        wide = tuple(part.float() for part in state)
        logprobs, *rest = self._step(tokens, *wide, *self._last_context[1])
        weights = rest[len(state)] if len(rest) > len(state) else None
        return logprobs, tuple(rest[: len(state)]), weights

    def finish_captures(self) -> None:
        """Wait until every shape that was seen is captured, or cannot be."""
        if isinstance(self._capture, CudaGraphCapture):
            self._capture.wait()

    def _start_search(self, grid: Tensor) -> tuple[SearchState, StepFunction]:
        """Begin a search for the captions of a grid, see `CapturedSearch`."""
        decoder = self.network.decoder
        arrays = decoder.encode_context(grid.to(self._dtype)).to_dict()
        start = ImageContext.from_dict(arrays).start
        arrays = step_context(decoder, arrays)
        context = tuple(arrays[name].contiguous() for name in self._step_names)

        def step(tokens: Tensor, state: SearchState) -> tuple[Tensor, SearchState]:
            logprobs, *rest = self._decoder_step(tokens, state, context)
            return logprobs, tuple(rest[: len(state)])

        return tuple(part.float() for part in start), step


class _Normalise(nn.Module):
    """Look up what the bytes of pictures become: (batch, size, size, 3) -> (batch, 3, size, size).

    Args:
        tables: (3, 256)
    """

    table: Tensor
    offsets: Tensor

    def __init__(self, tables: NDArray[np.float32]) -> None:
        super().__init__()
        self.register_buffer("table", torch.tensor(tables).flatten())
        self.register_buffer("offsets", 256 * torch.arange(3))  # of each channel

    def forward(self, pixels: Tensor) -> Tensor:
        # In memory the channels stay last, as the encoder wants them.
        return self.table[pixels.long() + self.offsets].permute(0, 3, 1, 2)
