"""A function of tensors that is recorded once for each shape, and from then on replayed.

On a GPU a step of a small network is over before Python has started its next kernel; a CUDA graph
starts all of them at once (`torch.cuda.CUDAGraph`). Batches are filled up to one of a few sizes, so
that few recordings serve them all. For one thread at a time. Knows tensors and their shapes; does
not know what is computed.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

__all__ = ["CapturedGraphs", "Record", "capture_cuda_graph"]

Function = Callable[..., tuple[Tensor, ...]]

# Calls a function, and gives what replays that call on whatever its inputs then hold, and the
# outputs, which are overwritten each time.
Record = Callable[[Function, tuple[Tensor, ...]], tuple[Callable[[], None], tuple[Tensor, ...]]]

_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)  # of batches
_MOST = 64  # recordings, each of which keeps some memory of the device
_WARM_UPS = 3  # before which libraries have not chosen their kernels


@dataclass
class _CapturedGraph:
    """A call; `given` are the tensors that its inputs were last filled from."""

    inputs: tuple[Tensor, ...]
    replay: Callable[[], None]
    outputs: tuple[Tensor, ...]
    given: tuple[Tensor, ...] = ()

    def fill(self, given: tuple[Tensor, ...]) -> None:
        """Put rows into the inputs; those that are there already need not be copied again."""
        before = self.given or (None,) * len(given)
        for held, new, old in zip(self.inputs, given, before, strict=True):
            if new is not old:
                held[: len(new)].copy_(new)
        self.given = given


class CapturedGraphs:
    """The same function, replayed; a batch that is larger than any size is computed as it comes.

    A tensor that is given again, the very same one, is taken to hold what it held.

    Args:
        function: of tensors (batch, ...) to tensors (batch, ...), row by row; it never looks at
            their values.
        record: how a call of it is recorded.
    """

    def __init__(self, function: Function, record: Record) -> None:
        self._function = function
        self._record = record
        self._graphs: OrderedDict[tuple[object, ...], _CapturedGraph] = OrderedDict()

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Compute it; the outputs are the caller's own."""
        batch = len(inputs[0])
        size = next((size for size in _SIZES if size >= batch), None)
        if size is None or batch == 0:
            return self._function(*inputs)
        key = (size, *((tuple(given.shape[1:]), given.dtype) for given in inputs))
        if key not in self._graphs:
            # What fills a batch up is copied from its first row, so that it is nothing unusual.
            held = tuple(torch.cat([given[:1]] * size) for given in inputs)
            self._graphs[key] = _CapturedGraph(held, *self._record(self._function, held))
            if len(self._graphs) > _MOST:
                self._graphs.popitem(last=False)  # the one not used for the longest
        self._graphs.move_to_end(key)
        recording = self._graphs[key]
        recording.fill(inputs)
        recording.replay()
        return tuple(output[:batch].clone() for output in recording.outputs)


def capture_cuda_graph(
    function: Function, inputs: tuple[Tensor, ...]
) -> tuple[Callable[[], None], tuple[Tensor, ...]]:
    """Record a call on its inputs' CUDA device as a graph; see `Record`.

    All recordings of a device share memory for what they compute on the way, which is theirs only
    while they are replayed.
    """
    device = inputs[0].device
    with torch.cuda.device(device):
        beside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            for _ in range(_WARM_UPS):
                function(*inputs)
        torch.cuda.current_stream().wait_stream(beside)
        graph = torch.cuda.CUDAGraph()
        # Other threads may use the device meanwhile.
        with torch.cuda.graph(graph, pool=_pool(device), capture_error_mode="thread_local"):
            outputs = function(*inputs)
    return graph.replay, outputs


@cache
def _pool(_device: torch.device) -> Any:
    """Name the memory that a device's recordings share."""
    return torch.cuda.graph_pool_handle()
