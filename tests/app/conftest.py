from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.app.serving import Service, in_thread
from tests.tiny import save_tiny_captioner


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_captioner(tmp_path_factory.mktemp("weights") / "captioner")


@pytest.fixture(scope="session")
def service(bundle: Path) -> Iterator[Service]:
    with in_thread(bundle) as running:
        yield running


@pytest.fixture
def client(service: Service) -> httpx.Client:
    return service.client
