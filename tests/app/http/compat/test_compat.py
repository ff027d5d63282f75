from pathlib import Path

import pytest

from tests.app.servers import in_thread

PATHS = {
    "ollama": "/api/tags",
    "max": "/model/metadata",
    "azure": "/vision/v3.2/describe",
}


@pytest.mark.parametrize("api", PATHS)
def test_only_the_apis_that_are_chosen_are_served(named_weights: Path, api: str) -> None:
    with in_thread(named_weights, apis=(api,), ready=False) as service:
        paths = service.client.get("/openapi.json").json()["paths"]
    assert PATHS[api] in paths
    assert not {path for name, path in PATHS.items() if name != api} & set(paths)
    assert "/caption" in paths
