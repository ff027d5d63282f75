import asyncio
import socket
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from PIL import Image

from app.settings import read_settings
from model.captioning.captioner import Captioner

pytest.importorskip("ray")

import ray
from pydantic import ValidationError

with warnings.catch_warnings():  # importing Ray Serve raises warnings
    warnings.simplefilter("ignore", DeprecationWarning)
    from ray import serve

from app.cluster import ClusterOptions, Replica, app, create_replica, fit_to_share
from tests.app.local_ray import ROOT, local_ray
from tests.app.photos import encoded, photo

pytestmark = [
    pytest.mark.slow,
    # Ray raises warnings, and does not close files and sockets when it shuts down.
    pytest.mark.filterwarnings(r"ignore::DeprecationWarning:ray\."),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

WEIGHTS = ROOT / "weights" / "captioner"
CHELSEA = ROOT / "examples" / "chelsea.jpg"


class Context:
    """The runtime context of a replica with one core."""

    def get_assigned_resources(self) -> dict[str, float]:
        return {"CPU": 1.0}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The address of Ray Serve, without an application."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with local_ray():
        serve.start(http_options={"host": "127.0.0.1", "port": port})
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            serve.shutdown()


@contextmanager
def deployed(url: str, replicas: int = 1) -> Iterator[httpx.Client]:
    serve.run(app(ClusterOptions(cpus=1, min_replicas=replicas, max_replicas=replicas)))
    try:
        with httpx.Client(base_url=url, timeout=60) as client:
            yield client
    finally:
        serve.delete("default")


def test_replicas_respond_as_the_service_does(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNROLLED_WEIGHTS", str(WEIGHTS))
    with Image.open(CHELSEA) as picture:
        (expected,) = Captioner.load(WEIGHTS, "cpu").caption([picture], num_captions=3)
    with deployed(url, replicas=2) as client:
        files = {"image": CHELSEA.read_bytes()}
        options = {"num_captions": 3}
        for number in range(6):
            headers = {"X-Request-ID": f"mine-{number}"}
            response = client.post("/caption", files=files, params=options, headers=headers)
            assert response.status_code == 200
            assert response.headers.get_list("X-Request-ID") == [f"mine-{number}"]
            assert response.json()["request_id"] == f"mine-{number}"
            for served, direct in zip(response.json()["captions"], expected, strict=True):
                assert served["text"] == direct.text
                for name in ("logprob", "confidence", "agreement"):
                    assert served[name] == pytest.approx(getattr(direct, name), abs=1e-4)
        assert client.get("/health/ready").json() == {"status": "ready"}
        assert client.get("/docs").status_code == 200
        (model,) = client.get("/models").json()["models"]
        assert model["name"] == "captioner"

        bad = client.post("/caption", files={"image": b"no picture"})
        assert bad.status_code == 415
        error = bad.json()["error"]
        assert error["code"] == "unsupported_image"
        assert bad.headers.get_list("X-Request-ID") == [error["request_id"]]
        assert bad.headers["X-Content-Type-Options"] == "nosniff"
        missing = client.get("/nothing")
        assert (missing.status_code, missing.json()["error"]["code"]) == (404, "not_found")
        wrong = client.post("/caption?beam_size=99", files=files)
        assert (wrong.status_code, wrong.json()["error"]["code"]) == (422, "invalid_parameter")


def test_a_full_replica_refuses_requests_itself(
    url: str, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNROLLED_WEIGHTS", str(bundle))
    monkeypatch.setenv("UNROLLED_QUEUE_SIZE", "1")
    picture = encoded(photo(2000, 2000))
    with deployed(url) as client, ThreadPoolExecutor(8) as threads:
        post = lambda _: client.post("/caption", files={"image": picture})  # noqa: E731
        responses = list(threads.map(post, range(8)))
        assert {response.status_code for response in responses} == {200, 429}
        refused = next(response for response in responses if response.status_code == 429)
        assert refused.json()["error"]["code"] == "overloaded"
        assert int(refused.headers["Retry-After"]) >= 1


def test_unusable_weights_fail_the_deployment(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNROLLED_WEIGHTS", str(tmp_path))
    with pytest.raises(RuntimeError, match="Deploying application default failed"), deployed(url):
        pass
    (deployment,) = serve.status().applications["default"].deployments.values()
    assert "there is no bundle in" in deployment.message
    serve.delete("default")


def test_a_replica_is_healthy_once_its_models_are_loaded(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray, "get_runtime_context", Context)

    async def start(weights: Path) -> int:
        monkeypatch.setenv("UNROLLED_WEIGHTS", str(weights))
        replica = Replica()
        replica.app = create_replica()
        transport = httpx.ASGITransport(replica.app)
        async with (
            replica.app.router.lifespan_context(replica.app),
            httpx.AsyncClient(transport=transport, base_url="http://replica") as client,
        ):
            assert (await client.get("/health/ready")).status_code == 503
            assert (await client.get("/health/live")).status_code == 200
            await replica.check_health()
            return (await client.get("/health/ready")).status_code

    assert asyncio.run(start(bundle)) == 200
    with pytest.raises(ValueError, match="there is no bundle in"):
        asyncio.run(start(tmp_path))


def test_a_replica_uses_the_resources_assigned_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    shared = fit_to_share(read_settings(), {"CPU": 2.0, "GPU": 0.5})
    assert (shared.threads, shared.device) == (2, "cuda")
    shared = fit_to_share(read_settings(), {"CPU": 0.5})
    assert (shared.threads, shared.device) == (1, "cpu")
    monkeypatch.setenv("UNROLLED_THREADS", "3")
    monkeypatch.setenv("UNROLLED_DEVICE", "mps")
    shared = fit_to_share(read_settings(), {"CPU": 2.0, "GPU": 0.5})
    assert (shared.threads, shared.device) == (3, "mps")


def test_invalid_options_are_refused() -> None:
    with pytest.raises(ValidationError, match="min_replicas must be at most max_replicas"):
        ClusterOptions(min_replicas=5)
    with pytest.raises(ValidationError, match="Extra inputs"):
        ClusterOptions.model_validate({"replicas": 2})
