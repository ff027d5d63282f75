"""Capture a function of tensors once per shape as a CUDA graph, and replay it from then on.

On a GPU a step of a small network is over before Python has launched its next kernel; a CUDA graph
launches all of them at once (`torch.cuda.CUDAGraph`). Batches are padded to one of a few sizes, so
that few graphs serve them all. Capturing takes up to seconds, so it may be done in the background,
while calls of the same shape are computed as they come. For one thread at a time.
"""

import logging
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Lock, Thread, main_thread
from weakref import WeakSet

import torch
from torch import Tensor

__all__ = ["BATCH_SIZES", "Capture", "CapturedGraphs", "CudaGraphCapture", "Replay"]

Function = Callable[..., tuple[Tensor, ...]]

# What repeats a call on whatever its inputs then hold, and the outputs, which every replay
# overwrites.
Replay = tuple[Callable[[], None], tuple[Tensor, ...]]

# Calls a function once, now or soon, so that the call can be repeated.
Capture = Callable[[Function, tuple[Tensor, ...]], Future[Replay]]

_log = logging.getLogger(__name__)

BATCH_SIZES: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64, 128)
_MAX_GRAPHS = 64  # each keeps some memory of the device
_WARM_UPS = 3  # calls before which libraries have not chosen their kernels
_one_at_a_time = Lock()  # all captures in a process use the same stream


@dataclass
class _CapturedGraph:
    """A captured call; `sources` are the tensors that its inputs were last filled from."""

    inputs: tuple[Tensor, ...]
    captured: Future[Replay]
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
        size = next((size for size in BATCH_SIZES if size >= batch), None)
        if size is None or batch == 0:
            return self._function(*inputs)
        key = (size, *((tuple(tensor.shape[1:]), tensor.dtype) for tensor in inputs))
        if key not in self._graphs:
            # Padded with copies of the first row, which are values like any other.
            buffers = tuple(torch.cat([tensor[:1]] * size) for tensor in inputs)
            captured = self._capture(self._function, buffers)
            captured.add_done_callback(_warn_of_failure)
            self._graphs[key] = _CapturedGraph(buffers, captured)
            if len(self._graphs) > _MAX_GRAPHS:
                _, oldest = self._graphs.popitem(last=False)  # the least recently used
                oldest.captured.cancel()
        self._graphs.move_to_end(key)
        graph = self._graphs[key]
        if not graph.captured.done() or graph.captured.exception():
            return self._function(*inputs)
        graph.fill(inputs)
        replay, outputs = graph.captured.result()
        replay()
        return tuple(output[:batch].clone() for output in outputs)

    def cancel(self) -> None:
        """Drop the captures that have not begun: nobody calls this function any more."""
        for graph in self._graphs.values():
            graph.captured.cancel()


class CudaGraphCapture:
    """Captures calls on one CUDA device as graphs; a `Capture`.

    The graphs share memory for intermediate results, so only one may run at a time.

    Args:
        background: whether calls are captured in a thread of their own, one after the other.
    """

    def __init__(self, *, background: bool = False) -> None:
        self._graphs: WeakSet[torch.cuda.CUDAGraph] = WeakSet()
        self._background = background
        self._lock = Lock()
        self._waiting: deque[tuple[Future[Replay], Function, tuple[Tensor, ...]]] = deque()
        self._thread: Thread | None = None  # while something waits

    def __call__(self, function: Function, inputs: tuple[Tensor, ...]) -> Future[Replay]:
        """Capture a call on its inputs' device, see `Capture`."""
        captured: Future[Replay] = Future()
        if not self._background:
            captured.set_result(self._record(function, inputs))
            return captured
        with self._lock:
            self._waiting.append((captured, function, inputs))
            if self._thread is None:
                self._thread = Thread(target=self._work, name="capture")
                self._thread.start()
        return captured

    def wait(self) -> None:
        """Wait until everything is captured that is to be."""
        if thread := self._thread:
            thread.join()

    def _work(self) -> None:
        """Capture what waits, one call after the other, unless the process ends meanwhile."""
        while True:
            with self._lock:
                if not self._waiting or not main_thread().is_alive():
                    self._thread = None
                    return
                captured, function, inputs = self._waiting.popleft()
            if not captured.set_running_or_notify_cancel():
                continue
            try:
                captured.set_result(self._record(function, inputs))
            except Exception as error:
                shapes = ", ".join(str(tuple(tensor.shape)) for tensor in inputs)
                message = f"{shapes}: {error}"
            else:
                continue
            # Not the error itself, whose traceback keeps the tensors of the failed call in memory.
            captured.set_exception(RuntimeError(message))

    @torch.inference_mode()
    def _record(self, function: Function, inputs: tuple[Tensor, ...]) -> Replay:
        with _one_at_a_time, torch.cuda.device(inputs[0].device):
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


def _warn_of_failure(captured: Future[Replay]) -> None:
    if not captured.cancelled() and (error := captured.exception()):
        _log.warning("cannot capture this shape as a CUDA graph, so it stays slow: %s", error)
