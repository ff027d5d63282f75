"""A recorded function gives what the function gives, batch by batch, from few recordings."""

import pytest
import torch
from torch import Tensor

from model.runtime import cuda_graphs as recording
from model.runtime.cuda_graphs import CapturedGraphs, capture_cuda_graph
from tests.model.replayed import Recorder


def double(rows: Tensor, others: Tensor) -> tuple[Tensor, ...]:
    return 2 * rows + others, rows.sum(1)


def inputs(batch: int, width: int = 3) -> tuple[Tensor, Tensor]:
    return torch.randn(batch, width), torch.randn(batch, width)


def test_it_gives_what_the_function_gives():
    record = Recorder()
    recorded = CapturedGraphs(double, record)
    for batch in (3, 1, 4, 2, 3, 128, 200, 0):
        given = inputs(batch)
        for found, expected in zip(recorded(*given), double(*given), strict=True):
            assert torch.equal(found, expected)
    # Three and four share a recording; what is larger than all, or nothing, has none.
    assert sorted(record.batches) == [1, 2, 4, 128]


def test_outputs_are_not_overwritten_by_the_next_call():
    recorded = CapturedGraphs(double, Recorder())
    first, _ = recorded(*inputs(2))
    kept = first.clone()
    recorded(*inputs(2))
    assert torch.equal(first, kept)


def test_other_shapes_and_types_have_recordings_of_their_own():
    record = Recorder()
    recorded = CapturedGraphs(double, record)
    recorded(*inputs(2))
    recorded(*inputs(2, width=5))
    recorded(*(one.double() for one in inputs(2)))
    assert record.batches == [2, 2, 2]


def test_of_too_many_recordings_the_oldest_makes_room(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(recording, "_MOST", 2)
    record = Recorder()
    recorded = CapturedGraphs(double, record)
    for width in (1, 2, 1, 3, 1, 2):
        given = inputs(2, width)
        assert torch.equal(recorded(*given)[0], double(*given)[0])
    assert record.widths == [1, 2, 3, 2]


def test_what_is_given_again_is_taken_to_be_the_same():
    recorded = CapturedGraphs(double, Recorder())
    rows, others = inputs(2)
    expected = recorded(rows, others)[0].clone()
    others += 1  # which nobody must do
    assert torch.equal(recorded(rows, others)[0], expected)
    torch.testing.assert_close(recorded(rows, others.clone())[0], expected + 1)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_a_cuda_graph_gives_what_the_function_gives():
    recorded = CapturedGraphs(double, capture_cuda_graph)
    for batch in (3, 4, 1, 3):
        given = tuple(one.cuda() for one in inputs(batch))
        torch.testing.assert_close(recorded(*given)[0], double(*given)[0])
