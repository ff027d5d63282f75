"""A captured function returns what the function returns, batch by batch, from few graphs."""

import subprocess
import sys
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial

import pytest
import torch
from torch import Tensor

from model.runtime import cuda_graphs
from model.runtime.cuda_graphs import CapturedGraphs, CudaGraphCapture, Replay
from tests.model.eager_capture import EagerCapture

needs_a_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")


def double(rows: Tensor, others: Tensor) -> tuple[Tensor, ...]:
    return 2 * rows + others, rows.sum(1)


def inputs(batch: int, width: int = 3) -> tuple[Tensor, Tensor]:
    return torch.randn(batch, width), torch.randn(batch, width)


def test_replays_return_what_the_function_returns():
    capture = EagerCapture()
    captured = CapturedGraphs(double, capture)
    for batch in (3, 1, 4, 2, 3, 128, 200, 0):
        given = inputs(batch)
        for result, expected in zip(captured(*given), double(*given), strict=True):
            assert torch.equal(result, expected)
    # Three and four share a graph; empty batches and those larger than all sizes have none.
    assert sorted(capture.batches) == [1, 2, 4, 128]


def test_outputs_are_not_overwritten_by_the_next_call():
    captured = CapturedGraphs(double, EagerCapture())
    first, _ = captured(*inputs(2))
    copy = first.clone()
    captured(*inputs(2))
    assert torch.equal(first, copy)


def test_each_shape_and_type_is_captured_separately():
    capture = EagerCapture()
    captured = CapturedGraphs(double, capture)
    captured(*inputs(2))
    captured(*inputs(2, width=5))
    captured(*(one.double() for one in inputs(2)))
    assert capture.batches == [2, 2, 2]


def test_the_least_recently_used_graph_is_dropped(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cuda_graphs, "_MAX_GRAPHS", 2)
    capture = EagerCapture()
    captured = CapturedGraphs(double, capture)
    for width in (1, 2, 1, 3, 1, 2):
        given = inputs(2, width)
        assert torch.equal(captured(*given)[0], double(*given)[0])
    assert capture.widths == [1, 2, 3, 2]


def test_the_same_tensor_is_not_copied_again():
    captured = CapturedGraphs(double, EagerCapture())
    rows, others = inputs(2)
    expected = captured(rows, others)[0].clone()
    others += 1  # which callers must not do
    assert torch.equal(captured(rows, others)[0], expected)
    torch.testing.assert_close(captured(rows, others.clone())[0], expected + 1)


class LaterCapture(EagerCapture):
    """Captures when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.pending: list[tuple[Future[Replay], Callable[[], Future[Replay]]]] = []

    def __call__(self, function, inputs) -> Future[Replay]:
        captured: Future[Replay] = Future()
        self.pending.append((captured, partial(super().__call__, function, inputs)))
        return captured

    def finish(self) -> None:
        for captured, capture in self.pending:
            captured.set_result(capture().result())


def test_calls_are_computed_as_they_come_until_their_shape_is_captured():
    capture, calls = LaterCapture(), []

    def noted(rows: Tensor, others: Tensor) -> tuple[Tensor, ...]:
        calls.append(len(rows))
        return double(rows, others)

    captured = CapturedGraphs(noted, capture)
    for batch in (3, 4, 3):
        given = inputs(batch)
        assert torch.equal(captured(*given)[0], double(*given)[0])
    assert calls == [3, 4, 3]  # not padded
    assert len(capture.pending) == 1  # they share a graph, which is asked for once
    capture.finish()
    for batch in (3, 4):
        given = inputs(batch)
        assert torch.equal(captured(*given)[0], double(*given)[0])
    assert calls == [3, 4, 3, 4, 4, 4]  # the capture's own call, and two padded ones


def test_what_cannot_be_captured_is_computed_as_it_comes(caplog: pytest.LogCaptureFixture):
    capture = LaterCapture()
    captured = CapturedGraphs(double, capture)
    captured(*inputs(3))
    capture.pending[0][0].set_exception(RuntimeError("out of memory"))
    assert caplog.messages == [
        "cannot capture this shape as a CUDA graph, so it stays slow: out of memory"
    ]
    given = inputs(3)
    assert torch.equal(captured(*given)[0], double(*given)[0])
    assert len(capture.pending) == 1


def test_what_is_dropped_is_not_captured_any_more(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(cuda_graphs, "_MAX_GRAPHS", 2)
    capture = LaterCapture()
    captured = CapturedGraphs(double, capture)
    for width in (1, 2, 3):
        captured(*inputs(2, width))
    assert [future.cancelled() for future, _ in capture.pending] == [True, False, False]
    captured.cancel()
    assert all(future.cancelled() for future, _ in capture.pending)
    assert not caplog.messages


def test_a_failed_capture_names_its_shapes_and_keeps_nothing_of_its_call():
    class Failing(CudaGraphCapture):
        def _record(self, function, inputs):
            return function(*inputs)

    kept: list[weakref.ref[Tensor]] = []

    def fail(rows: Tensor, others: Tensor) -> tuple[Tensor, ...]:
        result = rows * others
        kept.append(weakref.ref(result))
        raise RuntimeError("out of memory")

    capture = Failing(background=True)
    captured = capture(fail, inputs(2))
    capture.wait()
    error = captured.exception()
    assert str(error) == "(2, 3), (2, 3): out of memory"
    assert kept[0]() is None


def test_a_process_that_ends_does_not_wait_for_what_is_queued():
    program = """
import time, torch
from model.runtime.cuda_graphs import CudaGraphCapture
class Slow(CudaGraphCapture):
    def _record(self, function, inputs):
        print("captured", flush=True)
        time.sleep(0.5)
capture = Slow(background=True)
for _ in range(200):
    capture(None, (torch.zeros(1),))
time.sleep(0.2)
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert ended.stdout.count("captured") <= 2
    assert not ended.stderr


@needs_a_gpu
def test_shapes_are_captured_in_the_background():
    capture = CudaGraphCapture(background=True)
    captured = CapturedGraphs(double, capture)
    for width in (3, 5, 3, 5):
        for batch in (3, 1, 4, 2):
            given = tuple(one.cuda() for one in inputs(batch, width))
            torch.testing.assert_close(captured(*given)[0], double(*given)[0])
        capture.wait()
    assert len(capture._graphs) == 6


@needs_a_gpu
def test_a_cuda_graph_returns_what_the_function_returns():
    captured = CapturedGraphs(double, CudaGraphCapture())
    for batch in (3, 4, 1, 3):
        given = tuple(one.cuda() for one in inputs(batch))
        torch.testing.assert_close(captured(*given)[0], double(*given)[0])


@needs_a_gpu
def test_capturing_works_again_after_the_last_graph_is_gone():
    capture = CudaGraphCapture()
    for _ in range(2):
        given = tuple(one.cuda() for one in inputs(2))
        captured = CapturedGraphs(double, capture)
        torch.testing.assert_close(captured(*given)[0], double(*given)[0])
        del captured
        assert not capture._graphs
