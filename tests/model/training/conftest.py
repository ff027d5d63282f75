"""One thread, so that runs can be compared bit for bit; and data to train on."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.model.training.recipes import write_data


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Keep sums in one order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two captioned sets."""
    return write_data(tmp_path_factory.mktemp("data"))
