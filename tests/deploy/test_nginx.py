"""nginx with TLS in front of the real service, by the example in deploy/."""

import json
import os
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.app.photos import encoded, photo
from tests.app.servers import Service, in_thread, wait_until
from tests.app.writers import save_all

EXAMPLE = Path(__file__).parents[2] / "deploy" / "nginx.conf"
NGINX = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")

pytestmark = pytest.mark.skipif(
    NGINX is None or shutil.which("openssl") is None, reason="needs nginx and openssl"
)

CLIENT = "127.0.0.2"  # another address of this machine than the proxy's


@dataclass
class Proxied:
    service: Service
    client: httpx.Client
    plain: str  # the address without TLS


def free_ports(count: int) -> list[int]:
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports


def make_certificate(folder: Path) -> tuple[Path, Path]:
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = [
        *"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes".split(),
        *"-days 2 -subj /CN=captions.example.org -addext subjectAltName=IP:127.0.0.1".split(),
        *("-keyout", str(key), "-out", str(certificate)),
    ]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


@contextmanager
def nginx(folder: Path, changes: dict[str, str]) -> Iterator[None]:
    """Run nginx with the example, after changes that each must hit something."""
    text = EXAMPLE.read_text()
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    configuration = folder / "nginx.conf"
    configuration.write_text(text)
    command = [NGINX, "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(configuration)]
    as_root = " user root;" if os.geteuid() == 0 else ""
    command += ["-g", "daemon off;" + as_root]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        wait_until(lambda: (folder / "nginx.pid").exists() or process.poll() is not None)
        assert process.poll() is None, process.stderr.read()
        yield
    finally:
        process.terminate()
        process.communicate(timeout=30)


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    folder = tmp_path_factory.mktemp("nginx")
    certificate, key = make_certificate(folder)
    tls, plain = free_ports(2)
    with in_thread(save_all(folder / "weights"), log_format="json") as service:
        changes = {
            "listen 443 ssl;": f"listen 127.0.0.1:{tls} ssl;",
            "listen 80;": f"listen 127.0.0.1:{plain};",
            "listen [::]:443 ssl;": "",
            "listen [::]:80;": "",
            "127.0.0.1:8000": f"127.0.0.1:{service.port}",
            "/etc/ssl/certs/captions.example.org.pem": str(certificate),
            "/etc/ssl/private/captions.example.org.key": str(key),
            "/run/nginx.pid": str(folder / "nginx.pid"),
            "/var/log/nginx": str(folder),
            "access_log off;": f"access_log off; client_body_temp_path {folder}/bodies;",
        }
        with (
            nginx(folder, changes),
            httpx.Client(
                base_url=f"https://127.0.0.1:{tls}",
                transport=httpx.HTTPTransport(
                    verify=ssl.create_default_context(cafile=certificate), local_address=CLIENT
                ),
                timeout=60,
            ) as client,
        ):
            yield Proxied(service, client, f"http://127.0.0.1:{plain}")


def test_a_picture_is_captioned(proxied: Proxied) -> None:
    picture = encoded(photo(640, 480), "JPEG")
    response = proxied.client.post("/caption", files={"image": ("photo.jpg", picture)})
    assert response.status_code == 200
    assert response.json()["captions"][0]["text"]


def test_a_text_is_streamed_while_it_is_written(proxied: Proxied) -> None:
    body = {"model": "verse", "max_tokens": 5_000, "n": 4, "seed": 1, "stream": True}
    with proxied.client.stream("POST", "/generate-text", json=body) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = response.iter_lines()
        assert json.loads(next(lines).removeprefix("data: "))["seed"] == 1
        assert proxied.service.engine.worker.in_flight == 1  # there is more to write
    wait_until(lambda: proxied.service.engine.worker.in_flight == 0, seconds=30)


def test_errors_of_large_uploads_are_the_services_own(proxied: Proxied) -> None:
    response = proxied.client.post(
        "/caption", content=bytes(21_000_000), headers={"Content-Type": "image/jpeg"}
    )
    assert response.status_code == 413
    assert response.json()["error"]["code"] == "body_too_large"


def test_the_log_has_the_clients_address_whatever_it_pretends(
    proxied: Proxied, caplog: pytest.LogCaptureFixture
) -> None:
    headers = {"X-Forwarded-For": "203.0.113.9", "X-Request-ID": "through-the-proxy"}
    response = proxied.client.get("/models/", headers=headers)
    assert response.headers["x-request-id"] == "through-the-proxy"
    assert response.headers["location"] == str(proxied.client.base_url.join("/models"))

    def clients() -> list[str]:
        lines = [record.msg for record in caplog.records if isinstance(record.msg, dict)]
        return [line["client"] for line in lines if line["event"] == "request"]

    wait_until(lambda: bool(clients()), seconds=10)
    assert clients() == [CLIENT]


def test_metrics_are_for_the_machine_itself(proxied: Proxied) -> None:
    assert proxied.client.get("/metrics").status_code == 403
    assert proxied.service.client.get("/metrics").status_code == 200


def test_without_tls_clients_are_sent_to_it(proxied: Proxied) -> None:
    response = httpx.post(f"{proxied.plain}/caption?beam_size=2", timeout=10)
    assert response.status_code == 308
    assert response.headers["location"] == "https://127.0.0.1/caption?beam_size=2"
