from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.app.photos import encoded, photo
from tests.app.servers import Service, in_thread
from tests.app.writers import save_all
from tests.tiny import save_finalized_captioner, save_tiny_captioner


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


@pytest.fixture(scope="session")
def finished_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_finalized_captioner(tmp_path_factory.mktemp("finished") / "captioner")


@pytest.fixture(scope="session")
def finished(finished_bundle: Path) -> Iterator[httpx.Client]:
    """A client of a service whose captioner has been finalized."""
    with in_thread(finished_bundle) as running:
        yield running.client


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_all(tmp_path_factory.mktemp("several"))


@pytest.fixture(scope="session")
def writing(weights: Path) -> Iterator[Service]:
    """A service with a captioner and two language models."""
    with in_thread(weights) as running:
        yield running


@pytest.fixture
def writers(writing: Service) -> httpx.Client:
    return writing.client


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Seven pictures, some with unusual names."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i, name in enumerate(["a", "b, c", 'd "e"', "f\ng", "h", "i", "j"]):
        (folder / f"{name}.png").write_bytes(encoded(photo(20 + 9 * i, 80 - 7 * i)))
    return folder
