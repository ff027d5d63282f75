"""The real service on a free local port, in a thread, and commands in their own process."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import uvicorn

from app.http.protocol import server_config
from app.main import create_app
from app.serving.engine import Engine
from app.settings import Settings

COMMAND = [sys.executable, "-c", "from app.cli.main import app; app()"]


@dataclass(frozen=True)
class Service:
    engine: Engine
    client: httpx.Client
    port: int
    server: uvicorn.Server


@contextmanager
def in_thread(weights: Path, *, ready: bool = True, **settings: object) -> Iterator[Service]:
    configuration = Settings(weights=weights, device="cpu", threads=1, **settings)
    app = create_app(configuration)
    server = uvicorn.Server(server_config(app, configuration, port=0))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_until(lambda: server.started)
        port = server.servers[0].sockets[0].getsockname()[1]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            if ready:
                wait_until(lambda: client.get("/health/ready").status_code == 200)
            yield Service(app.state.engine, client, port, server)
    finally:
        server.should_exit = True
        thread.join(30)


def run_command(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)
