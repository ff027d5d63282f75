"""A first Ctrl-C waits for the end of a step, a second one does not."""

import os
import signal
import threading

import pytest

from model.training import interrupt
from model.training.interrupt import postponed_interrupt


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_is_noted_and_handlers_are_restored(kind: signal.Signals) -> None:
    before = signal.getsignal(kind)
    with postponed_interrupt() as came:
        assert not came()
        os.kill(os.getpid(), kind)
        os.kill(os.getpid(), kind)  # a launcher repeats it
        assert came()
    assert signal.getsignal(kind) is before


def test_a_later_interrupt_is_not_postponed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupt, "_REPEATED", -1.0)
    with postponed_interrupt() as came:
        os.kill(os.getpid(), signal.SIGINT)
        assert came()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_another_thread_receives_no_signals() -> None:
    seen: list[bool] = []

    def block() -> None:
        with postponed_interrupt() as came:
            seen.append(came())

    thread = threading.Thread(target=block)
    thread.start()
    thread.join()
    assert seen == [False]
