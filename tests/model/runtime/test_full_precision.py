"""Convolutions are in full precision while any thread needs it, and as they were before after."""

from contextlib import ExitStack
from threading import Event, Thread

import pytest
import torch

from model.runtime.pytorch import full_precision


@pytest.fixture(autouse=True, params=[True, False])
def before(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", request.param)
    allowed: bool = request.param
    return allowed


def test_it_ends_with_the_outermost_block(before: bool) -> None:
    with full_precision:
        with full_precision:
            assert not torch.backends.cudnn.allow_tf32
        assert not torch.backends.cudnn.allow_tf32
    assert torch.backends.cudnn.allow_tf32 is before


def test_it_ends_after_an_error(before: bool) -> None:
    with pytest.raises(RuntimeError), full_precision:
        raise RuntimeError
    assert torch.backends.cudnn.allow_tf32 is before


def test_it_ends_with_the_last_thread(before: bool) -> None:
    entered, leave = Event(), Event()

    def other() -> None:
        with full_precision:
            entered.set()
            leave.wait(30)

    thread = Thread(target=other)
    with ExitStack() as stack:
        stack.enter_context(full_precision)
        thread.start()
        assert entered.wait(30)
    assert not torch.backends.cudnn.allow_tf32  # the other thread still needs it
    leave.set()
    thread.join()
    assert torch.backends.cudnn.allow_tf32 is before
