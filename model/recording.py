"""A function of tensors that is recorded once for each shape, and from then on replayed.

On a GPU a step of a small network is over before Python has started its next kernel; a CUDA graph
starts all of them at once (`torch.cuda.CUDAGraph`). Batches are filled up to one of a few sizes, so
that few recordings serve them all. Knows tensors and their shapes; does not know what is computed.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Record", "Recorded", "record_cuda_graph"]

Function = Callable[..., tuple[Tensor, ...]]

# Calls a function, and gives what replays that call on whatever its inputs then hold, and the
# outputs, which are overwritten each time.
Record = Callable[[Function, tuple[Tensor, ...]], tuple[Callable[[], None], tuple[Tensor, ...]]]

_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)  # of batches
_MOST = 64  # recordings, each of which keeps some memory of the device
_WARM_UPS = 3  # before which libraries have not chosen their kernels


class _Recording(NamedTuple):
    inputs: tuple[Tensor, ...]
    replay: Callable[[], None]
    outputs: tuple[Tensor, ...]


class Recorded:
    """The same function, replayed; a batch that is larger than any size is computed as it comes.

    Args:
        function: of tensors (batch, ...) to tensors (batch, ...), row by row; it never looks at
            their values.
        record: how a call of it is recorded.
    """

    def __init__(self, function: Function, record: Record) -> None:
        self._function = function
        self._record = record
        self._recordings: dict[tuple[object, ...], _Recording] = {}

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Compute it; the outputs are the caller's own."""
        batch = len(inputs[0])
        size = next((size for size in _SIZES if size >= batch), None)
        if size is None or batch == 0:
            return self._function(*inputs)
        key = (size, *((tuple(given.shape[1:]), given.dtype) for given in inputs))
        recording = self._recordings.get(key)
        if recording is None:
            if len(self._recordings) >= _MOST:
                return self._function(*inputs)
            # What fills a batch up is copied from its first row, so that it is nothing unusual.
            held = tuple(torch.cat([given[:1]] * size) for given in inputs)
            recording = _Recording(held, *self._record(self._function, held))
            self._recordings[key] = recording
        for held_one, given in zip(recording.inputs, inputs, strict=True):
            held_one[:batch].copy_(given)
        recording.replay()
        return tuple(output[:batch].clone() for output in recording.outputs)


def record_cuda_graph(
    function: Function, inputs: tuple[Tensor, ...]
) -> tuple[Callable[[], None], tuple[Tensor, ...]]:
    """Record a call on the current CUDA device as a graph; see `Record`."""
    beside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    beside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(beside):
        for _ in range(_WARM_UPS):
            function(*inputs)
    torch.cuda.current_stream().wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        outputs = function(*inputs)
    return graph.replay, outputs
