"""A captioner's network run by PyTorch from recordings: on a GPU, CUDA graphs.

Knows modules, tensors and recordings; knows nothing of words, of beams or of files.
"""

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from model.networks.caption_network import CaptionNetwork
from model.networks.image_context import DecoderState, ImageContext
from model.runtime.cuda_graphs import CapturedGraphs, Record, capture_cuda_graph
from model.runtime.graphs import ContextEncoder, DecoderStep, laid_out
from model.runtime.options import Precision
from model.runtime.pytorch import TorchRunner

__all__ = ["CudaGraphRunner"]


class CudaGraphRunner(TorchRunner):
    """Replays encoder and decoder; see `Runner`.

    Args:
        network, size, device, precision: as of a `TorchRunner`.
        record: how a call is recorded.
    """

    def __init__(
        self,
        network: CaptionNetwork,
        size: int,
        device: str | torch.device,
        precision: Precision = "float32",
        record: Record = capture_cuda_graph,
    ) -> None:
        network = network.eval().to(device)
        decoder, dtype = network.decoder, getattr(torch, precision)
        with torch.no_grad():
            named = decoder.encode_context(
                torch.zeros(1, 1, 1, decoder.channels, device=device)
            ).to_dict()
            self._names = tuple(named)
            self._seen_names = tuple(n for n in named if not n.startswith("start."))
            step = DecoderStep(decoder, self._seen_names).to(dtype)  # folded before it is rounded
        super().__init__(network, size, device, precision)
        encoder, states = self.encoder, len(self._names) - len(self._seen_names)
        self._encode = CapturedGraphs(lambda pixels: (encoder(pixels),), record)
        self._encode_context = CapturedGraphs(ContextEncoder(decoder), record)
        self._step = CapturedGraphs(
            lambda tokens, *rest: step(tokens, rest[:states], rest[states:]), record
        )
        self._seen: tuple[ImageContext, tuple[Tensor, ...]] | None = None

    @torch.inference_mode()
    def encode(self, pixels: NDArray[Any] | Tensor) -> Tensor:
        """Run the encoder, see `Runner.encode`."""
        on_device = self.place(pixels).contiguous(memory_format=torch.channels_last)
        return self._encode(on_device)[0].float()

    @torch.inference_mode()
    def encode_context(self, grid: Tensor) -> ImageContext:
        """Run the decoder's `begin`."""
        found = self._encode_context(grid.to(self._dtype))
        return ImageContext.from_dict(dict(zip(self._names, found, strict=True)))

    @torch.inference_mode()
    def step(
        self, tokens: Tensor, state: DecoderState, picture: ImageContext
    ) -> tuple[Tensor, DecoderState, Tensor | None]:
        """Run the decoder's `step`."""
        if self._seen is None or self._seen[0] is not picture:
            named = laid_out(self.network.decoder, picture.to_dict())
            self._seen = picture, tuple(named[name].contiguous() for name in self._seen_names)
        # A state is wide whatever the precision is, but for the start of a mean picture.
        wide = tuple(part.float() for part in state)
        logprobs, *rest = self._step(tokens, *wide, *self._seen[1])
        weights = rest[len(state)] if len(rest) > len(state) else None
        return logprobs, tuple(rest[: len(state)]), weights
