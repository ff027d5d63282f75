from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from tests.app.servers import Service, in_thread
from tests.app.writers import NOTES, save_writer
from tests.tiny import save_finalized_captioner


@pytest.fixture(scope="session")
def openai_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with a finalized captioner and two language models."""
    weights = tmp_path_factory.mktemp("openai")
    save_finalized_captioner(weights / "captioner", seed=1)
    writers: Path = weights / "text"
    save_writer(writers / "verse")
    save_writer(writers / "notes", text=NOTES, level="word", ends=True)
    with in_thread(weights) as service:
        yield service


@pytest.fixture(scope="session")
def base_url(openai_service: Service) -> str:
    return f"http://127.0.0.1:{openai_service.port}/v1"


@pytest.fixture(scope="session")
def api(base_url: str) -> Iterator[openai.OpenAI]:
    """OpenAI's own client."""
    with openai.OpenAI(base_url=base_url, api_key="unused", max_retries=0, timeout=30) as client:
        yield client
