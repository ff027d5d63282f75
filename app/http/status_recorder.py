"""Remembering a response's status for those who count and log requests."""

from starlette.types import Message, Send

__all__ = ["StatusRecorder"]


class StatusRecorder:
    """Sends a response on, and keeps its `status`: 0 until the response starts."""

    def __init__(self, send: Send) -> None:
        self.status = 0
        self._send = send

    async def __call__(self, message: Message) -> None:
        """Send a message of the response."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
        await self._send(message)
