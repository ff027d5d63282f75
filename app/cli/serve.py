"""`unrolled serve`: run the service under uvicorn."""

from __future__ import annotations

import os
import signal
import socket
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.options import DeviceName, RuntimeName, Weights, settings_from
from app.cli.terminal import exit_on
from app.cli.workers import supervise

if TYPE_CHECKING:
    from app.settings import Settings

__all__ = ["serve"]


def serve(
    *,
    host: Annotated[str | None, typer.Option(help="The address to listen on.")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="The port to listen on; 0: any free one.")
    ] = None,
    weights: Weights = None,
    device: DeviceName = None,
    runtime: RuntimeName = None,
) -> None:
    """Serve captions and texts over HTTP. Every setting is also an UNROLLED_* variable."""
    settings = settings_from(host=host, port=port, weights=weights, device=device, runtime=runtime)
    with exit_on(OSError):
        _run(settings)


def _run(settings: Settings) -> None:
    """Serve until a signal arrives; exit with status 1 if the captioner cannot be loaded.

    Raises:
        OSError: the service cannot listen on the address; the message says why.
    """
    listener = _listen(settings.host, settings.port)
    host, port = listener.getsockname()[:2]
    address = f"[{host}]" if ":" in host else host
    print(f"Listening on http://{address}:{port} (docs: /docs)", flush=True)  # noqa: T201
    if settings.workers > 1:
        sys.exit(supervise(settings, listener, _serve))
    _serve(settings, listener)


def _serve(settings: Settings, listener: socket.socket) -> None:
    """Serve in this process."""
    from app.http.protocol import server_config  # noqa: PLC0415
    from app.http.server import Server  # noqa: PLC0415
    from app.main import create_app  # noqa: PLC0415

    # The event loop competes for Python's lock with the threads that decode and infer. They hold it
    # for one millisecond at a time, not five, so that it answers quickly.
    sys.setswitchinterval(0.001)
    app = create_app(settings)
    server = Server(
        server_config(app, settings),
        on_stop=app.state.engine.announce_stop,
        delay=settings.shutdown_delay,
    )
    # uvicorn stops in order at a signal, then raises it once more. To be stopped is no failure.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with suppress(KeyboardInterrupt):
        server.run(sockets=[listener])


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
    # asyncio sets this only on sockets that it creates; without it a response waits some 40 ms for
    # the client's delayed acknowledgement.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener
