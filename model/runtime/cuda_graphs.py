"""Capture a function of tensors once per shape as a CUDA graph, and replay it from then on.

On a GPU a step of a small network is over before Python has launched its next kernel; a CUDA graph
launches all of them at once (`torch.cuda.CUDAGraph`). Batches are padded to one of a few sizes, so
that few graphs serve them all. For one thread at a time.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from weakref import WeakSet

import torch
from torch import Tensor

__all__ = ["Capture", "CapturedGraphs", "CudaGraphCapture"]

Function = Callable[..., tuple[Tensor, ...]]

# Calls a function once. Returns what repeats that call on whatever its inputs then hold, and the
# outputs, which every replay overwrites.
Capture = Callable[[Function, tuple[Tensor, ...]], tuple[Callable[[], None], tuple[Tensor, ...]]]

_BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)
_MAX_GRAPHS = 64  # each keeps some memory of the device
_WARM_UPS = 3  # calls before which libraries have not chosen their kernels


@dataclass
class _CapturedGraph:
    """A captured call; `sources` are the tensors that its inputs were last filled from."""

    inputs: tuple[Tensor, ...]
    replay: Callable[[], None]
    outputs: tuple[Tensor, ...]
    sources: tuple[Tensor, ...] = ()

    def fill(self, sources: tuple[Tensor, ...]) -> None:
        """Copy rows into the inputs, except from the very tensors that were copied last time."""
        before = self.sources or (None,) * len(sources)
        for buffer, new, old in zip(self.inputs, sources, before, strict=True):
            if new is not old:
                buffer[: len(new)].copy_(new)
        self.sources = sources


class CapturedGraphs:
    """A function that is replayed; a batch larger than any size is computed as it comes.

    An input that is the very same tensor as in the last call is assumed to hold the same values.

    Args:
        function: of tensors (batch, ...) to tensors (batch, ...), row by row; it never looks at
            their values.
        capture: how a call is captured.
    """

    def __init__(self, function: Function, capture: Capture) -> None:
        self._function = function
        self._capture = capture
        self._graphs: OrderedDict[tuple[object, ...], _CapturedGraph] = OrderedDict()

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Compute the outputs, which are copies that no later call overwrites."""
        batch = len(inputs[0])
        size = next((size for size in _BATCH_SIZES if size >= batch), None)
        if size is None or batch == 0:
            return self._function(*inputs)
        key = (size, *((tuple(tensor.shape[1:]), tensor.dtype) for tensor in inputs))
        if key not in self._graphs:
            # Padded with copies of the first row, which are values like any other.
            buffers = tuple(torch.cat([tensor[:1]] * size) for tensor in inputs)
            self._graphs[key] = _CapturedGraph(buffers, *self._capture(self._function, buffers))
            if len(self._graphs) > _MAX_GRAPHS:
                self._graphs.popitem(last=False)  # the least recently used
        self._graphs.move_to_end(key)
        graph = self._graphs[key]
        graph.fill(inputs)
        graph.replay()
        return tuple(output[:batch].clone() for output in graph.outputs)


class CudaGraphCapture:
    """Captures calls on one CUDA device as graphs; a `Capture`.

    The graphs share memory for intermediate results, so only one may run at a time.
    """

    def __init__(self) -> None:
        self._graphs: WeakSet[torch.cuda.CUDAGraph] = WeakSet()

    def __call__(
        self, function: Function, inputs: tuple[Tensor, ...]
    ) -> tuple[Callable[[], None], tuple[Tensor, ...]]:
        """Capture a call on its inputs' device, see `Capture`."""
        with torch.cuda.device(inputs[0].device):
            warm_up = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            warm_up.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(warm_up):
                for _ in range(_WARM_UPS):
                    function(*inputs)
            torch.cuda.current_stream().wait_stream(warm_up)
            graph = torch.cuda.CUDAGraph()
            # A pool is freed with its last graph, and its handle is then invalid: so it is taken
            # from a graph that is alive, and never kept.
            pool = next((other.pool() for other in self._graphs), None)
            # Other threads may use the device meanwhile.
            with torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):
                outputs = function(*inputs)
        self._graphs.add(graph)
        return graph.replay, outputs
