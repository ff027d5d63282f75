"""Stop a run between two steps, so that it can be kept."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["postponed_interrupt"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)

# A launcher passes on what the terminal has already sent, within this many seconds.
_REPEATED = 1.0


@contextmanager
def postponed_interrupt() -> Iterator[Callable[[], bool]]:
    """Yield a function that says whether Ctrl-C or SIGTERM came since this block began.

    A second Ctrl-C raises KeyboardInterrupt at once. Only the main thread can receive signals; in
    any other this does nothing.
    """
    came: list[float] = []

    def note(signum: int, frame: FrameType | None) -> None:
        if came and time.monotonic() - came[0] > _REPEATED:
            raise KeyboardInterrupt
        came.append(time.monotonic())

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = {kind: signal.signal(kind, note) for kind in _SIGNALS}
    try:
        yield lambda: bool(came)
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)
