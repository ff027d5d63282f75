"""What is loaded from a weights folder, and what stops the service from starting."""

from pathlib import Path

import pytest
import torch
from structlog.testing import capture_logs

from app.errors import InvalidParameter, UnknownModel
from app.serving.registry import ModelRegistry, load_models
from app.settings import Settings
from model.captioning.captioner import Captioner
from model.networks.encoder import Encoder
from model.networks.text_network import TextNetwork
from model.runtime.export import ExportError
from model.runtime.openvino import OpenVinoRunner, OpenVinoTextRunner
from model.runtime.pytorch import TorchRunner, TorchTextRunner
from tests.app.writers import save_writer
from tests.tiny import save_finalized_captioner, tamper


def load(weights: Path, **settings: object) -> ModelRegistry:
    return load_models(Settings(weights=weights, device="cpu", threads=1, **settings))  # type: ignore[arg-type]


def test_captioner_and_language_models_are_loaded_and_warmed_up(weights: Path) -> None:
    called = []

    def record(module: torch.nn.Module, *_: object) -> None:
        if isinstance(module, Encoder):
            called.append(module)

    step = TextNetwork.step

    def recording_step(network: TextNetwork, *arguments: object) -> object:
        called.append(network)
        return step(network, *arguments)

    with (
        pytest.MonkeyPatch.context() as patch,
        torch.nn.modules.module.register_module_forward_hook(record),
    ):
        patch.setattr(TextNetwork, "step", recording_step)
        models = load(weights, load_language_models="at_start")
    assert list(models.all) == ["tiny", "notes", "verse"]
    assert models.find_captioner().runner.encoder in called
    assert models.cache.loaded == ("notes", "verse")
    assert {models.cache.load(name).network for name in models.cache.loaded} < set(called)


def test_every_size_of_a_batch_that_is_captured_is_seen_at_startup(weights: Path) -> None:
    sizes: list[int] = []
    encode = TorchRunner.encode

    def noting_encode(runner: TorchRunner, pixels: torch.Tensor) -> torch.Tensor:
        sizes.append(len(pixels))
        return encode(runner, pixels)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TorchRunner, "encode", noting_encode)
        patch.setattr(TorchRunner, "captured_sizes", (1, 2, 4, 8))
        load(weights, batch_size=5)
    assert sizes == [1, 1, 2, 4, 5]


def test_language_models_are_loaded_on_demand(weights: Path) -> None:
    models = load(weights)
    assert list(models.all) == ["tiny", "notes", "verse"]
    assert models.cache.loaded == ()


@pytest.mark.slow
def test_the_graphs_of_all_models_are_exported_at_startup(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNROLLED_CACHE", str(tmp_path))
    models = load(weights, runtime="auto")
    assert isinstance(models.find_captioner().runner, OpenVinoRunner)
    assert len(list((tmp_path / "openvino").iterdir())) == 3
    for name in models.language_models:
        assert isinstance(models.cache.load(name).runner, OpenVinoTextRunner)


def test_pytorch_runs_the_models_if_graphs_cannot_be_exported(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way of the cache")
    monkeypatch.setenv("UNROLLED_CACHE", str(tmp_path / "file"))
    with capture_logs() as lines:
        models = load(weights, runtime="auto")
    (warning,) = [line for line in lines if "UNROLLED_CACHE" in line["event"]]
    assert warning["folder"] == str(tmp_path / "file")
    assert isinstance(models.find_captioner().runner, TorchRunner)
    assert isinstance(models.cache.load("verse").runner, TorchTextRunner)
    with pytest.raises(ExportError):
        load(weights, runtime="openvino")


def test_language_models_loaded_at_startup_must_fit_together(weights: Path, monkeypatch) -> None:
    monkeypatch.setattr("app.serving.model_cache._BYTES_PER_PARAMETER", 300)
    with pytest.raises(ValueError, match="do not all fit in memory, 'notes' were evicted"):
        load(weights, load_language_models="at_start", language_models_megabytes=1)


def test_a_folder_with_language_models_only(tmp_path: Path) -> None:
    save_writer(tmp_path / "text" / "verse")
    (tmp_path / "text" / ".verse.1.tmp").mkdir()  # left by an interrupted save
    models = load(tmp_path)
    assert list(models.all) == ["verse"]
    assert models.find_language_model() is models.find("verse")
    with pytest.raises(UnknownModel, match="no captioner is loaded: the models are 'verse'"):
        models.find_captioner()


def test_a_single_bundle_of_either_kind(tmp_path: Path, bundle: Path) -> None:
    assert list(load(save_writer(tmp_path / "verse")).all) == ["verse"]
    models = load(bundle)
    assert list(models.all) == ["tiny"]
    with pytest.raises(UnknownModel, match="no language model is loaded"):
        models.find_language_model()


def test_models_are_found_by_name(weights: Path) -> None:
    models = load(weights)
    with pytest.raises(InvalidParameter, match="model: is required, one of 'notes', 'verse'"):
        models.find_language_model()
    with pytest.raises(InvalidParameter, match="'tiny' is a captioner"):
        models.find_language_model("tiny")
    with pytest.raises(InvalidParameter, match="'verse' is a language model"):
        models.find_captioner("verse")
    with pytest.raises(UnknownModel, match="'tiny', 'notes', 'verse'"):
        models.find_language_model("prose")
    assert models.find_captioner("tiny") is models.captioner


def test_a_folder_without_bundles_is_refused(tmp_path: Path) -> None:
    for weights in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(ValueError, match="there is no bundle in"):
            load(weights)


def test_two_bundles_of_the_same_name_are_refused(tmp_path: Path) -> None:
    first = save_writer(tmp_path / "text" / "verse")
    first.rename(first.with_name("a"))
    save_writer(tmp_path / "text" / "verse")
    with pytest.raises(ValueError, match="another bundle is also named 'verse'"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("file", "says"),
    [("vocabulary.json", "vocabulary.json is damaged"), ("config.json", "is not JSON")],
)
def test_a_damaged_language_model_stops_the_start(tmp_path: Path, file: str, says: str) -> None:
    folder = save_writer(tmp_path / "text" / "verse")
    (folder / file).write_text("{")
    with pytest.raises(ValueError, match=says):
        load(tmp_path)


def test_the_self_test_replaces_the_warm_up(
    finished_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode, shapes = Captioner.encode, []

    def recording_encode(captioner: Captioner, pixels: torch.Tensor) -> torch.Tensor:
        shapes.append(pixels.shape)
        return encode(captioner, pixels)

    monkeypatch.setattr(Captioner, "encode", recording_encode)
    load(finished_bundle)
    load(finished_bundle, self_test=False)
    assert shapes == [(1, 3, 64, 64)] * 2


def test_a_failed_self_test_stops_the_start_unless_it_is_off(tmp_path: Path) -> None:
    weights = tamper(save_finalized_captioner(tmp_path / "captioner"))
    with pytest.raises(ValueError, match=r"the self-test fails: golden/1\.png should be"):
        load(weights)
    assert list(load(weights, self_test=False).all) == ["tiny"]
