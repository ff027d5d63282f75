"""A service whose captioner says much, and something else of every picture."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from model.bundle.write import save_bundle
from model.config import DecodingConfig, TaggingConfig
from tests.app.servers import Service, in_thread
from tests.app.writers import save_writer
from tests.tiny import tiny_config, tiny_network, tiny_vocabulary


@pytest.fixture(scope="session")
def named_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny models under the names of the shipped ones, which the API page's examples use."""
    weights = tmp_path_factory.mktemp("named")
    config = replace(
        tiny_config(detected_words=9),
        name="captioner",
        decoding=DecodingConfig(length_penalty=2.0, no_repeat_ngram_size=1),
        tagging=TaggingConfig(evidence=0.8, usual=0.9, intercept=0.5),
    )
    network = tiny_network(config, seed=2)
    save_bundle(weights / "captioner", config, network.state_dict(), tiny_vocabulary(), "# Tiny\n")
    save_writer(weights / "text" / "shakespeare", text="ROMEO: Twinkle, twinkle, little star.\n")
    return weights


@pytest.fixture(scope="session")
def named(named_weights: Path) -> Iterator[Service]:
    with in_thread(named_weights) as running:
        yield running


@pytest.fixture(scope="session")
def document(named: Service) -> dict[str, Any]:
    return named.client.get("/openapi.json").json()


@pytest.fixture
def compat(named: Service) -> httpx.Client:
    return named.client
