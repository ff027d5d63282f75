import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from app.cli.serve import _listen
from model.bundle.read import load_bundle
from model.config import CaptionerConfig
from model.runtime.export import export_in_process
from tests.app.photos import encoded, photo
from tests.app.servers import COMMAND, run_command, wait_until
from tests.tiny import tamper


def test_the_service_starts_captions_logs_and_stops(bundle: Path, tmp_path: Path) -> None:
    """Live, ready, a caption, its log lines, and a clean stop."""
    log = tmp_path / "log"
    with log.open("w") as file:
        process = subprocess.Popen(
            [*COMMAND, "serve", "--port", "0", "--weights", str(bundle), "--device", "cpu"],
            env=os.environ | {"UNROLLED_LOG_FORMAT": "json"},
            stdout=subprocess.PIPE,
            stderr=file,
            text=True,
        )
    try:
        address = process.stdout.readline().split()[2]
        with httpx.Client(base_url=address, timeout=30) as client:
            assert client.get("/health/live").status_code == 200
            wait_until(lambda: client.get("/health/ready").status_code == 200)
            files = {"image": ("photo.png", encoded(photo()))}
            headers = {"X-Request-ID": "mine"}
            answer = client.post("/caption?beam_size=2", files=files, headers=headers)
            assert answer.status_code == 200
            assert "server" not in answer.headers
            client.get("/no%0Aline%20break")
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.stdout.close()
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    captioned, missed = [line for line in lines if line["event"] == "request"]
    assert captioned["ms"] > 0
    assert captioned.items() >= {
        "method": "POST", "path": "/caption", "status": 200, "request_id": "mine",
        "picture": "60x40 PNG", "beam_size": 2, "level": "info",
    }.items()  # fmt: skip
    assert (missed["status"], missed["path"]) == (404, "/no%0Aline%20break")
    assert any(line["event"] == "ready" for line in lines)
    assert lines[-1]["event"].startswith("Finished")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads what a process has loaded from /proc")
def test_with_openvino_pytorch_is_never_loaded(
    finished_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNROLLED_CACHE", str(tmp_path))
    export_in_process(load_bundle(finished_bundle, CaptionerConfig))
    command = [*COMMAND, "serve", "--port", "0", "--weights", finished_bundle, "--device", "cpu"]
    process = subprocess.Popen(
        [*map(str, command), "--runtime", "openvino"], stdout=subprocess.PIPE, text=True
    )
    try:
        address = process.stdout.readline().split()[2]
        with httpx.Client(base_url=address, timeout=30) as client:
            wait_until(lambda: client.get("/health/ready").status_code == 200)
            picture = encoded(photo(), "JPEG")
            requests = {
                "/caption?attention=true&image_gain=true": {},
                "/score": {"text": "a red ball"},
            }
            for route, fields in requests.items():
                answer = client.post(route, files={"image": picture}, data=fields)
                assert answer.status_code == 200
            assert client.get("/models").status_code == 200
        loaded = Path(f"/proc/{process.pid}/maps").read_text()
        assert "openvino" in loaded
        assert "libtorch" not in loaded
    finally:
        process.kill()
        process.communicate()


def test_a_broken_bundle_ends_the_process(bundle: Path, tmp_path: Path) -> None:
    broken = shutil.copytree(bundle, tmp_path / "broken")
    (broken / "vocabulary.json").write_text("{}")
    served = run_command("serve", "--port", "0", "--weights", broken)
    assert served.returncode == 1
    assert "vocabulary.json is damaged" in served.stderr
    assert "Traceback" not in served.stderr


@pytest.mark.slow
def test_weights_that_fail_their_self_test_end_the_process(
    finished_bundle: Path, tmp_path: Path
) -> None:
    broken = tamper(shutil.copytree(finished_bundle, tmp_path / "broken"))
    served = run_command("serve", "--port", "0", "--weights", broken, "--device", "cpu")
    assert served.returncode == 1
    assert "the self-test fails: golden/1.png should be" in served.stderr
    assert "Traceback" not in served.stderr
    assert "ready" not in served.stderr


def test_a_missing_bundle_ends_uvicorn(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "uvicorn", "app.main:create_app", "--factory", "--port", "0"]
    served = subprocess.run(
        command,
        env=os.environ | {"UNROLLED_WEIGHTS": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert served.returncode == 1
    assert "there is no bundle in" in served.stderr
    assert "Traceback" not in served.stderr


def test_a_port_in_use_is_reported(bundle: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        served = run_command("serve", "--port", port, "--weights", bundle)
    assert served.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in served.stderr
    assert "Traceback" not in served.stderr


def test_invalid_settings_exit_with_2() -> None:
    served = run_command("serve", UNROLLED_QUEUE_SIZE="many")
    assert served.returncode == 2
    assert "UNROLLED_QUEUE_SIZE=many" in served.stderr


def test_responses_do_not_wait_for_acknowledgements():
    listener = _listen("127.0.0.1", 0)
    with listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
