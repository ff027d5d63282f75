"""A captured function returns what the function returns, batch by batch, from few graphs."""

import pytest
import torch
from torch import Tensor

from model.runtime import cuda_graphs
from model.runtime.cuda_graphs import CapturedGraphs, CudaGraphCapture
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
