import threading

from app.serving import registry
from tests.app.photos import encoded, photo
from tests.app.servers import in_thread, wait_until


def test_live_at_once_and_ready_once_the_models_are_loaded(bundle, monkeypatch) -> None:
    may_load, load = threading.Event(), registry.load_models

    def load_later(settings):
        assert may_load.wait(30)
        return load(settings)

    monkeypatch.setattr(registry, "load_models", load_later)
    with in_thread(bundle, ready=False) as service:
        try:
            assert service.client.get("/health/live").json() == {"status": "live"}
            file = {"image": ("photo.png", encoded(photo()))}
            for response in (
                service.client.get("/health/ready"),
                service.client.get("/models"),
                service.client.post("/caption", files=file),
            ):
                assert response.status_code == 503
                assert response.json()["error"]["code"] == "not_ready"
                assert int(response.headers["retry-after"]) >= 1
        finally:
            may_load.set()
        wait_until(lambda: service.client.get("/health/ready").status_code == 200)
        assert service.client.get("/health/ready").json() == {"status": "ready"}
        assert service.client.post("/caption", files=file).status_code == 200
