"""Cancelling work when the client disconnects."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import Request

from app.errors import ClientDisconnected

__all__ = ["cancel_on_disconnect"]

Result = TypeVar("Result")


async def cancel_on_disconnect(request: Request, work: Coroutine[Any, Any, Result]) -> Result:
    """Run work, and cancel it if the client disconnects first.

    The request's body must have been read completely.

    Raises:
        ClientDisconnected: the client disconnected.
    """
    running = asyncio.create_task(work)
    watching = asyncio.create_task(_wait_for_disconnect(request))
    try:
        await asyncio.wait({running, watching}, return_when=asyncio.FIRST_COMPLETED)
        if not running.done():
            raise ClientDisconnected("the client disconnected")
        return running.result()
    finally:
        running.cancel()
        watching.cancel()


async def _wait_for_disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
