"""Stop working for a client that has hung up.

Knows ASGI's disconnect message; does not know what the work is.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import Request

from app.errors import ClientDisconnected

__all__ = ["cancel_on_disconnect"]

Result = TypeVar("Result")


async def cancel_on_disconnect(request: Request, work: Coroutine[Any, Any, Result]) -> Result:
    """Do the work, and cancel it if the client hangs up first.

    The request's body must have been read to its end.

    Raises:
        ClientDisconnected: the client hung up.
    """
    working = asyncio.create_task(work)
    watching = asyncio.create_task(_hung_up(request))
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnected("the client hung up")
        return working.result()
    finally:
        working.cancel()
        watching.cancel()


async def _hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
