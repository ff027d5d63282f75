"""A server that says it is going to stop before it does."""

import signal
import time
from collections.abc import Callable
from types import FrameType

import structlog
import uvicorn

__all__ = ["Server"]

_log = structlog.get_logger("app")


class Server(uvicorn.Server):
    """uvicorn's server, which goes on for a while after SIGTERM.

    In that time balancers find that the service is not ready any more, and send nothing to it.
    Ctrl-C, or a second SIGTERM, ends it at once.

    Args:
        config: from `app.http.protocol.server_config`.
        on_stop: called at the first signal, in the main thread.
        delay: seconds between the first SIGTERM and the end of listening.
    """

    def __init__(
        self, config: uvicorn.Config, *, on_stop: Callable[[], None], delay: float
    ) -> None:
        super().__init__(config)
        self._on_stop = on_stop
        self._delay = delay
        self._stop_at: float | None = None  # by `time.monotonic`

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Handle a signal to stop."""
        first = self._stop_at is None
        if first:
            self._on_stop()
            self._stop_at = time.monotonic() + self._delay
        if first and self._delay and sig == signal.SIGTERM:
            return
        super().handle_exit(sig, frame)

    async def on_tick(self, counter: int) -> bool:
        """Return whether to stop; called ten times a second."""
        if not self.should_exit and self._stop_at is not None and time.monotonic() > self._stop_at:
            super().handle_exit(signal.SIGTERM, None)
        return await super().on_tick(counter)
