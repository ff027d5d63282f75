"""Run the service under uvicorn, from the command line.

Knows sockets and the server; `app.main` knows the service.
"""

import os
import socket
import sys
from contextlib import suppress

import uvicorn

from app.main import create_app
from app.settings import Settings

__all__ = ["serve"]


def serve(settings: Settings) -> None:
    """Serve until a signal comes. A captioner that cannot be loaded exits with status 1.

    Raises:
        OSError: the address cannot be listened on; the message says why.
    """
    # The event loop waits for Python's lock behind the threads that decode and infer; a millisecond
    # each, rather than five, and it answers in time.
    sys.setswitchinterval(0.001)
    listener = _listen(settings.host, settings.port)
    config = uvicorn.Config(
        create_app(settings),
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="on",
        timeout_graceful_shutdown=10,
    )
    host, port = listener.getsockname()[:2]
    address = f"[{host}]" if ":" in host else host
    print(f"Listening on http://{address}:{port} (docs: /docs)", flush=True)  # noqa: T201
    with suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listener])


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, *_, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.create_server(address, family=family, backlog=2048)
    except OSError as error:
        reason = error.strerror or os.strerror(error.errno or 0)
        raise OSError(
            f"cannot listen on {host}:{port} ({reason}): choose another --host or --port"
        ) from error
    # asyncio sets this only on sockets that it made itself; without it an answer waits for the
    # client's delayed acknowledgement, some 40 ms.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener
