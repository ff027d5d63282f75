import platform

import httpx

from app.version import VERSION


def test_it_says_what_is_running(writers: httpx.Client) -> None:
    answer = writers.get("/version")
    assert answer.status_code == 200
    listed = writers.get("/models").json()["models"]
    assert answer.json() == {
        "version": VERSION,
        "python": platform.python_version(),
        "runtime": "torch",
        "device": "cpu",
        "precision": "float32",
        "models": [{"name": model["name"], "version": model["version"]} for model in listed],
    }
    assert len(listed) == 3


def test_it_has_no_parameters(client: httpx.Client) -> None:
    assert client.get("/version?verbose=1").status_code == 422
