"""Scripts run as a user runs them: with the runtime that the service would choose."""

import pytest


@pytest.fixture(autouse=True)
def _no_runtime_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNROLLED_RUNTIME", "auto")
