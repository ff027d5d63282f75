"""What the service does from SIGTERM to its end, and whom it takes for its client."""

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import uvicorn

from app.http.server import Server
from tests.app.photos import encoded, photo
from tests.app.servers import COMMAND, in_thread, wait_until

TEXT = {"model": "verse", "max_tokens": 2_000, "stream": True, "seed": 1}


@contextmanager
def served(weights: Path, **settings: object) -> Iterator[tuple[subprocess.Popen, httpx.Client]]:
    """Run the service in a process of its own."""
    variables = {f"UNROLLED_{name.upper()}": str(value) for name, value in settings.items()}
    process = subprocess.Popen(
        [*COMMAND, "serve", "--port", "0", "--weights", str(weights), "--device", "cpu"],
        env=os.environ | variables,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        address = process.stdout.readline().split()[2]
        with httpx.Client(base_url=address, timeout=60) as client:
            wait_until(lambda: client.get("/health/ready").status_code == 200, seconds=180)
            yield process, client
    finally:
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_it_is_not_ready_from_sigterm_on_but_answers_until_its_end(weights: Path) -> None:
    with served(weights, shutdown_delay=600, shutdown_timeout=60) as (process, client):
        process.send_signal(signal.SIGTERM)
        wait_until(lambda: client.get("/health/ready").status_code == 503, seconds=10)
        assert "about to stop" in client.get("/health/ready").text
        assert client.get("/health/live").status_code == 200
        image = {"image": ("photo.png", encoded(photo()))}
        assert httpx.post(client.base_url.join("/caption"), files=image).status_code == 200
        lines: list[str] = []
        with client.stream("POST", "/generate-text", json=TEXT) as response:
            stream = response.iter_lines()
            lines.append(next(stream))
            process.send_signal(signal.SIGTERM)  # the second ends the delay
            lines += stream
        assert lines[-2] == "data: [DONE]"
        assert process.wait(60) == 0


def server(delay: float) -> tuple[Server, list[str]]:
    announced: list[str] = []
    config = uvicorn.Config("no:application")
    return Server(config, on_stop=lambda: announced.append("stop"), delay=delay), announced


def test_sigterm_is_followed_by_the_delay() -> None:
    waiting, announced = server(delay=0.2)

    async def run() -> bool:
        waiting.handle_exit(signal.SIGTERM, None)
        assert announced == ["stop"]
        assert not await waiting.on_tick(1)
        await asyncio.sleep(0.3)
        return await waiting.on_tick(2)

    assert asyncio.run(run())
    assert announced == ["stop"]


@pytest.mark.parametrize(
    ("delay", "signals"),
    [
        (0, [signal.SIGTERM]),
        (600, [signal.SIGINT]),
        (600, [signal.SIGTERM, signal.SIGTERM]),
        (600, [signal.SIGTERM, signal.SIGINT]),
    ],
)
def test_some_signals_end_it_at_once(delay: float, signals: list[int]) -> None:
    ending, announced = server(delay)
    for sent in signals:
        assert not ending.should_exit
        ending.handle_exit(sent, None)
    assert ending.should_exit
    assert announced == ["stop"]


def clients(log: str) -> list[str | None]:
    lines = [json.loads(line) for line in log.splitlines()]
    return [line["client"] for line in lines if line["event"] == "request"]


def test_the_client_of_a_trusted_proxy_is_logged(
    bundle: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    trusted = "127.0.0.1, 10.0.0.0/8"
    with in_thread(bundle, trusted_proxies=trusted, log_format="json", ready=False) as service:
        for forwarded in ("203.0.113.9", "evil, 203.0.113.9, 10.1.2.3", '"\\n forged', "::1"):
            headers = {"X-Forwarded-For": forwarded, "X-Forwarded-Proto": "https"}
            response = service.client.get("/models/", headers=headers)
            assert response.headers["location"].startswith("https://")
        service.client.get("/models")
    assert clients(capfd.readouterr().err) == [
        "203.0.113.9", "203.0.113.9", None, "::1", "127.0.0.1",
    ]  # fmt: skip


def test_nobody_else_is_believed(bundle: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with in_thread(bundle, trusted_proxies="10.0.0.0/8", log_format="json", ready=False) as service:
        headers = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}
        response = service.client.get("/models/", headers=headers)
        assert response.headers["location"].startswith("http://")
    assert clients(capfd.readouterr().err) == ["127.0.0.1"]
