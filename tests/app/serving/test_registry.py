"""What of a weights folder is loaded, and what stops the start."""

from pathlib import Path

import pytest
import torch

from app.errors import InvalidParameter, UnknownModel
from app.serving.registry import ModelRegistry, load
from app.settings import Settings
from model.captioning.captioner import Captioner
from model.networks.encoder import Encoder
from model.networks.text_network import TextNetwork
from model.runtime.export import ExportError
from model.runtime.openvino import OpenVinoRunner
from model.runtime.openvino_text import OpenVinoTextRunner
from model.runtime.pytorch import TorchRunner
from model.runtime.text_base import TorchTextRunner
from tests.app.writers import save_writer
from tests.tiny import save_finalized_captioner, tamper


def loaded(weights: Path, **settings: object) -> ModelRegistry:
    return load(Settings(weights=weights, device="cpu", threads=1, **settings))  # type: ignore[arg-type]


def test_captioner_and_writers_are_loaded_and_warm(weights: Path) -> None:
    seen = []

    def note(module: torch.nn.Module, *_: object) -> None:
        if isinstance(module, Encoder):
            seen.append(module)

    step = TextNetwork.step

    def noting(network: TextNetwork, *arguments: object) -> object:
        seen.append(network)
        return step(network, *arguments)

    with (
        pytest.MonkeyPatch.context() as patch,
        torch.nn.modules.module.register_module_forward_hook(note),
    ):
        patch.setattr(TextNetwork, "step", noting)
        models = loaded(weights, load_language_models="at_start")
    assert list(models.all) == ["tiny", "notes", "verse"]
    assert models.find_captioner().runner.encoder in seen
    assert models.cache.loaded == ("notes", "verse")
    assert {models.cache.load(name).network for name in models.cache.loaded} < set(seen)


def test_writers_are_loaded_when_they_are_needed(weights: Path) -> None:
    models = loaded(weights)
    assert list(models.all) == ["tiny", "notes", "verse"]
    assert models.cache.loaded == ()


def test_the_graphs_of_all_models_are_made_at_the_start(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNROLLED_CACHE", str(tmp_path))
    models = loaded(weights, runtime="auto")
    assert isinstance(models.find_captioner().runner, OpenVinoRunner)
    assert len(list((tmp_path / "openvino").iterdir())) == 3
    for name in models.language_models:
        assert isinstance(models.cache.load(name).runner, OpenVinoTextRunner)


def test_without_graphs_pytorch_does(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way of the cache")
    monkeypatch.setenv("UNROLLED_CACHE", str(tmp_path / "file"))
    models = loaded(weights, runtime="auto")
    assert isinstance(models.find_captioner().runner, TorchRunner)
    assert isinstance(models.cache.load("verse").runner, TorchTextRunner)
    with pytest.raises(ExportError):
        loaded(weights, runtime="openvino")


def test_writers_at_the_start_must_fit_together(weights: Path, monkeypatch) -> None:
    monkeypatch.setattr("app.serving.model_cache._BYTES", 300)
    with pytest.raises(ValueError, match="'notes' had to make room for other writers"):
        loaded(weights, load_language_models="at_start", language_models_megabytes=1)


def test_a_folder_of_writers_alone(tmp_path: Path) -> None:
    save_writer(tmp_path / "text" / "verse")
    (tmp_path / "text" / ".verse.1.tmp").mkdir()  # left by a save that was cut off
    models = loaded(tmp_path)
    assert list(models.all) == ["verse"]
    assert models.find_language_model() is models.find("verse")
    with pytest.raises(UnknownModel, match="no captioner is loaded: there is 'verse'"):
        models.find_captioner()


def test_one_bundle_of_either_kind(tmp_path: Path, bundle: Path) -> None:
    assert list(loaded(save_writer(tmp_path / "verse")).all) == ["verse"]
    models = loaded(bundle)
    assert list(models.all) == ["tiny"]
    with pytest.raises(UnknownModel, match="no model that writes text"):
        models.find_language_model()


def test_which_model_is_meant(weights: Path) -> None:
    models = loaded(weights)
    with pytest.raises(InvalidParameter, match="model: is required, one of 'notes', 'verse'"):
        models.find_language_model()
    with pytest.raises(InvalidParameter, match="'tiny' is a captioner"):
        models.find_language_model("tiny")
    with pytest.raises(InvalidParameter, match="'verse' writes text"):
        models.find_captioner("verse")
    with pytest.raises(UnknownModel, match="'tiny', 'notes', 'verse'"):
        models.find_language_model("prose")
    assert models.find_captioner("tiny") is models.captioner


def test_nothing_to_load(tmp_path: Path) -> None:
    for weights in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(ValueError, match="there is no bundle in"):
            loaded(weights)


def test_two_of_one_name(tmp_path: Path) -> None:
    first = save_writer(tmp_path / "text" / "verse")
    first.rename(first.with_name("a"))
    save_writer(tmp_path / "text" / "verse")
    with pytest.raises(ValueError, match="its name 'verse' is another bundle's too"):
        loaded(tmp_path)


@pytest.mark.parametrize(
    ("file", "says"),
    [("vocabulary.json", "vocabulary.json is damaged"), ("config.json", "is not JSON")],
)
def test_a_damaged_writer_stops_the_start(tmp_path: Path, file: str, says: str) -> None:
    folder = save_writer(tmp_path / "text" / "verse")
    (folder / file).write_text("{")
    with pytest.raises(ValueError, match=says):
        loaded(tmp_path)


def test_a_captioner_tests_itself_once(
    finished_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its golden picture is what warms it: a start takes no longer for it."""
    encode, shapes = Captioner.encode, []

    def noting(captioner: Captioner, pixels: torch.Tensor) -> torch.Tensor:
        shapes.append(pixels.shape)
        return encode(captioner, pixels)

    monkeypatch.setattr(Captioner, "encode", noting)
    loaded(finished_bundle)
    loaded(finished_bundle, self_test=False)
    assert shapes == [(1, 3, 64, 64)] * 2


def test_a_failed_self_test_stops_the_start_unless_it_is_skipped(tmp_path: Path) -> None:
    weights = tamper(save_finalized_captioner(tmp_path / "captioner"))
    with pytest.raises(ValueError, match=r"the self-test fails: golden/1\.png should be"):
        loaded(weights)
    assert list(loaded(weights, self_test=False).all) == ["tiny"]
