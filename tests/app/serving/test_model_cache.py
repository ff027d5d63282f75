"""Which language models are in memory, and which are evicted."""

import shutil
from pathlib import Path

import httpx
import pytest

from app.serving.model_cache import ModelCache
from model.bundle.format import BundleError
from model.bundle.read import load_text_bundle
from model.text.language_model import LanguageModel
from tests.app.answers import assert_error
from tests.app.servers import in_thread
from tests.app.writers import save_writer, texts

NAMES = ("a", "b", "c")


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    return [save_writer(tmp_path / name) for name in NAMES]


def cache_for(folders: list[Path], models: float) -> ModelCache:
    """A cache with room for so many of these language models, which have the same size."""
    size = 4 * sum(p.numel() for p in LanguageModel.load(folders[0]).network.parameters())
    return ModelCache(map(load_text_bundle, folders), "cpu", int(models * size))


def test_a_language_model_is_loaded_once(folders: list[Path]) -> None:
    cache = cache_for(folders, 3)
    assert cache.find("a") is None
    language_model = cache.load("a")
    assert cache.load("a") is cache.find("a") is language_model
    expected = list(LanguageModel.load(folders[0], "cpu").generate("Twin", seed=1))
    assert list(language_model.generate("Twin", seed=1)) == expected


def test_the_least_recently_used_is_evicted(folders: list[Path]) -> None:
    cache = cache_for(folders, 2.5)
    for name in ("a", "b"):
        cache.load(name)
    cache.find("a")
    cache.load("c")
    assert cache.loaded == ("a", "c")
    cache.load("b")
    assert cache.loaded == ("c", "b")


def test_an_evicted_model_can_finish_its_text(folders: list[Path]) -> None:
    cache = cache_for(folders, 1)
    deltas = cache.load("a").generate("Twin", seed=1, max_tokens=30)
    first = next(deltas)
    cache.load("b")
    assert cache.loaded == ("b",)
    expected = LanguageModel.load(folders[0], "cpu").generate("Twin", seed=1, max_tokens=30)
    assert [first, *deltas] == list(expected)


def test_a_model_over_the_limit_is_refused(folders: list[Path]) -> None:
    with pytest.raises(
        ValueError, match=r"a needs \d+ MB .* raise UNROLLED_LANGUAGE_MODELS_MEGABYTES"
    ):
        cache_for(folders, 0.9)


def test_parameters_are_counted_without_loading(folders: list[Path]) -> None:
    cache = cache_for(folders, 3)
    assert cache.loaded == ()
    network = cache.load("b").network
    assert cache.parameters["b"] == sum(p.numel() for p in network.parameters())


def test_unusable_weights_are_reported_at_first_use(tmp_path: Path, monkeypatch) -> None:
    save_writer(tmp_path / "text" / "verse")
    save_writer(tmp_path / "text" / "other")
    with in_thread(tmp_path) as service:
        _damage(monkeypatch, "verse")
        answer = service.client.post("/generate-text", json={"model": "verse", "prompt": "a"})
        message = assert_error(answer, 503, "unavailable")
        assert "'verse' cannot be loaded" in message
        assert answer.headers["retry-after"] == "60"
        assert texts(service.client, model="other", seed=1)


def test_files_that_change_after_the_start_are_reported_at_first_use(tmp_path: Path) -> None:
    names = ("cut", "gone", "other", "sound")
    for name in names:
        save_writer(tmp_path / "text" / name)
    with in_thread(tmp_path) as service:
        weights = tmp_path / "text" / "cut" / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-4] + bytes(4))
        shutil.rmtree(tmp_path / "text" / "gone")
        save_writer(tmp_path / "text" / "other", seed=5)
        for name in names[:3]:
            for path, body in {
                "/generate-text": {"prompt": "a"},
                "/score": {"text": "a"},
                "/activations": {"text": "a", "units": [0]},
            }.items():
                answer = service.client.post(path, json=body | {"model": name})
                message = assert_error(answer, 503, "unavailable")
                assert f"{name!r} cannot be loaded" in message
        assert texts(service.client, model="sound", seed=1)


def test_a_bundle_that_was_replaced_is_not_loaded(tmp_path: Path) -> None:
    cache = cache_for([save_writer(tmp_path / "a")], 2)
    save_writer(tmp_path / "a", seed=5)
    with pytest.raises(BundleError, match="has changed since the service started: start it again"):
        cache.load("a")


def test_models_show_what_is_in_memory(tmp_path: Path) -> None:
    save_writer(tmp_path / "text" / "verse")
    with in_thread(tmp_path) as service:
        assert [model["loaded"] for model in _models(service.client)] == [False]
        texts(service.client, seed=1, max_tokens=2)
        (model,) = _models(service.client)
        assert model["loaded"]
        assert service.client.get("/models/verse").json()["parameters"] == model["parameters"] > 0


def _models(client: httpx.Client) -> list[dict[str, object]]:
    models: list[dict[str, object]] = client.get("/models").json()["models"]
    return models


def _damage(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    load = LanguageModel.from_bundle

    def fail(bundle, *arguments):
        if bundle.config.name == name:
            raise BundleError("weights that are not finite")
        return load(bundle, *arguments)

    monkeypatch.setattr(LanguageModel, "from_bundle", fail)
