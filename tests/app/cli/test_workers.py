import json
import os
import signal
import subprocess
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.cli.workers import share_of_cores
from tests.app.photos import encoded, photo
from tests.app.servers import COMMAND, run_command, wait_until


@pytest.mark.parametrize(
    ("cores", "workers", "shares"),
    [
        ([0, 1], 2, [{0}, {1}]),
        ([4, 5, 6, 7], 2, [{4, 5}, {6, 7}]),
        ([0, 1, 2], 2, [{0}, {1}]),
        ([0, 1], 3, [{0}, {1}, {0}]),
    ],
)
def test_every_worker_has_its_share_of_the_cores(
    cores: list[int], workers: int, shares: list[set[int]]
) -> None:
    assert [share_of_cores(cores, index, workers) for index in range(workers)] == shares


@pytest.mark.slow
def test_a_worker_that_is_killed_is_replaced_and_all_stop_in_order(
    bundle: Path, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    with log.open("w") as file:
        process = subprocess.Popen(
            [*COMMAND, "serve", "--port", "0", "--weights", str(bundle), "--device", "cpu"],
            env=os.environ | {"UNROLLED_WORKERS": "2", "UNROLLED_LOG_FORMAT": "json"},
            stdout=subprocess.PIPE,
            stderr=file,
            text=True,
        )

    def events(name: str) -> list[dict]:
        lines = [line for line in log.read_text().splitlines() if line.startswith("{")]
        return [line for line in map(json.loads, lines) if line["event"].startswith(name)]

    def pids() -> list[int]:
        return [int(line["event"].split("[")[1][:-1]) for line in events("Started server process")]

    def caption() -> int:  # each time over a new connection, which any of them may accept
        image = {"image": ("photo.png", encoded(photo()))}
        return httpx.post(f"{address}/caption", files=image, timeout=60).status_code

    try:
        address = process.stdout.readline().split()[2]
        wait_until(lambda: len(events("ready")) == 2, seconds=240)
        assert len(set(pids())) == 2
        assert [caption() for _ in range(20)] == [200] * 20
        shown = httpx.get(f"{address}/metrics", timeout=30).text
        counted = [
            sample.value
            for family in text_string_to_metric_families(shown)
            for sample in family.samples
            if sample.name == "unrolled_http_requests_total"
            and sample.labels["route"] == "/caption"
        ]
        assert sum(counted) == 20
        os.kill(pids()[0], signal.SIGKILL)
        wait_until(lambda: len(events("ready")) == 3, seconds=240)
        assert caption() == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        for pid in pids():
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)
    finally:
        process.terminate()
        process.communicate()


@pytest.mark.slow
def test_a_model_that_cannot_be_loaded_ends_them_all(tmp_path: Path) -> None:
    served = run_command("serve", "--port", "0", "--weights", tmp_path, UNROLLED_WORKERS="2")
    assert served.returncode == 1
    assert "there is no bundle in" in served.stderr
    assert "Traceback" not in served.stderr
