"""The service as a process behind a balancer: what it does from SIGTERM to its end."""

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.app.photos import encoded, photo
from tests.app.servers import COMMAND, wait_until

TEXT = {"model": "verse", "max_tokens": 2_000, "stream": True, "seed": 1}


@dataclass
class Served:
    process: subprocess.Popen[str]
    client: httpx.Client
    log: Path

    def lines(self) -> list[dict]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def ready(self) -> int:
        return self.client.get("/health/ready").status_code


@contextmanager
def served(weights: Path, log: Path, **settings: object) -> Iterator[Served]:
    """Run the service in a process of its own."""
    variables = {f"UNROLLED_{name.upper()}": str(value) for name, value in settings.items()}
    with log.open("w") as file:
        process = subprocess.Popen(
            [*COMMAND, "serve", "--port", "0", "--weights", str(weights), "--device", "cpu"],
            env=os.environ | {"UNROLLED_LOG_FORMAT": "json"} | variables,
            stdout=subprocess.PIPE,
            stderr=file,
            text=True,
        )
    try:
        address = process.stdout.readline().split()[2]
        with httpx.Client(base_url=address, timeout=30) as client:
            running = Served(process, client, log)
            wait_until(lambda: running.ready() == 200)
            yield running
    finally:
        process.kill()
        process.communicate()


def test_it_is_not_ready_from_sigterm_on_and_still_answers(weights: Path, tmp_path: Path) -> None:
    with served(weights, tmp_path / "log", shutdown_delay=2) as service:
        stopped = time.monotonic()
        service.process.send_signal(signal.SIGTERM)
        wait_until(lambda: service.ready() == 503, seconds=1)
        assert "about to stop" in service.client.get("/health/ready").text
        assert service.client.get("/health/live").status_code == 200
        image = {"image": ("photo.png", encoded(photo()))}
        assert httpx.post(service.client.base_url.join("/caption"), files=image).status_code == 200
        with service.client.stream("POST", "/generate-text", json=TEXT) as response:
            events = list(response.iter_lines())
        assert events[-2] == "data: [DONE]"
        assert service.process.wait(30) == 0
        assert time.monotonic() - stopped > 2
        assert service.lines()[-1]["event"].startswith("Finished")


def test_a_request_in_flight_ends_before_the_process(weights: Path, tmp_path: Path) -> None:
    with served(weights, tmp_path / "log") as service:
        lines: list[str] = []
        with service.client.stream("POST", "/generate-text", json=TEXT) as response:
            stream = response.iter_lines()
            lines.append(next(stream))
            service.process.send_signal(signal.SIGTERM)
            lines += stream
        assert lines[-2] == "data: [DONE]"
        assert service.process.wait(30) == 0


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_the_delay(bundle: Path, tmp_path: Path, second: int) -> None:
    with served(bundle, tmp_path / "log", shutdown_delay=60) as service:
        service.process.send_signal(signal.SIGTERM)
        wait_until(lambda: service.ready() == 503)
        service.process.send_signal(second)
        assert service.process.wait(20) == 0


def test_ctrl_c_does_not_wait(bundle: Path, tmp_path: Path) -> None:
    with served(bundle, tmp_path / "log", shutdown_delay=60) as service:
        service.process.send_signal(signal.SIGINT)
        assert service.process.wait(20) == 0


def test_requests_that_take_too_long_are_given_up(weights: Path, tmp_path: Path) -> None:
    with served(weights, tmp_path / "log", shutdown_timeout=0.5, max_tokens=10_000) as service:
        body = TEXT | {"max_tokens": 5_000, "n": 4, "logprobs": 5}
        first = threading.Event()

        def read() -> None:
            try:
                with service.client.stream("POST", "/generate-text", json=body) as response:
                    for _ in response.iter_lines():
                        first.set()
            except httpx.HTTPError:
                pass

        reading = threading.Thread(target=read)
        reading.start()
        assert first.wait(20)
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(20) == 0
        reading.join(20)


def test_the_client_of_a_trusted_proxy_is_logged(bundle: Path, tmp_path: Path) -> None:
    with served(bundle, tmp_path / "log", trusted_proxies="127.0.0.1, 10.0.0.0/8") as service:
        for forwarded in ("203.0.113.9", "evil, 203.0.113.9, 10.1.2.3", '"\\n forged', "::1"):
            headers = {"X-Forwarded-For": forwarded, "X-Forwarded-Proto": "https"}
            response = service.client.get("/models/", headers=headers)
            assert response.headers["location"].startswith("https://")
        service.client.get("/models")
        clients = [line["client"] for line in service.lines() if line["event"] == "request"]
    assert clients == ["203.0.113.9", "203.0.113.9", None, "::1", "127.0.0.1"]


def test_nobody_else_is_believed(bundle: Path, tmp_path: Path) -> None:
    with served(bundle, tmp_path / "log", trusted_proxies="10.0.0.0/8") as service:
        headers = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}
        response = service.client.get("/models/", headers=headers)
        assert response.headers["location"].startswith("http://")
        (line,) = [line for line in service.lines() if line["event"] == "request"]
    assert line["client"] == "127.0.0.1"
