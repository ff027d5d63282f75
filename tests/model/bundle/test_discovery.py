from pathlib import Path

import pytest

from model.bundle.discovery import (
    bundle_folder,
    captioner_folder,
    find_bundle_folders,
    is_text_bundle,
    list_bundles,
)
from tests.app.writers import save_all
from tests.tiny import save_tiny_captioner, save_tiny_language_model


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_captioner(tmp_path_factory.mktemp("weights") / "captioner")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_all(tmp_path_factory.mktemp("several"))


def test_the_captioners_folder_or_its_parent_will_do(bundle: Path) -> None:
    assert captioner_folder(bundle) == bundle
    assert captioner_folder(bundle.parent) == bundle


def test_bundles_are_listed_with_their_size(bundle: Path) -> None:
    (result,) = list_bundles(bundle.parent)
    assert (result.name, result.kind, result.version) == ("tiny", "captioner", "0")
    assert result.size == sum(path.stat().st_size for path in bundle.iterdir())
    assert list_bundles(bundle) == [result]


def test_listing_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no bundle"):
        list_bundles(tmp_path)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"name": "x"}'])
def test_listing_an_invalid_configuration_is_an_error(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ValueError, match=r"config\.json"):
        list_bundles(tmp_path)


def test_a_service_loads_the_captioner_and_all_language_models(weights: Path, bundle: Path) -> None:
    text = weights / "text"
    result = find_bundle_folders(weights)
    assert result.captioner == weights / "captioner"
    assert result.language_models == (text / "notes", text / "verse")
    assert find_bundle_folders(text / "verse").language_models == (text / "verse",)
    assert find_bundle_folders(bundle).captioner == bundle


def test_a_bundle_is_found_by_name_or_path(weights: Path) -> None:
    verse = weights / "text" / "verse"
    assert bundle_folder("verse", weights) == bundle_folder(str(verse), weights) == verse
    assert bundle_folder("captioner", weights) == weights / "captioner"
    with pytest.raises(ValueError, match="choose from 'captioner', 'notes', 'verse'"):
        bundle_folder("prose", weights)
    with pytest.raises(
        ValueError, match="prose is not a bundle's folder, and there is no bundle in"
    ):
        bundle_folder("prose", weights / "text" / "verse" / "nowhere")


def test_text_bundles_are_told_from_others(weights: Path, tmp_path: Path) -> None:
    assert is_text_bundle(weights / "text" / "verse")
    assert not is_text_bundle(weights / "captioner")
    for content in ("", "[]", "[" * 99_999):
        (tmp_path / "config.json").write_text(content)
        assert not is_text_bundle(tmp_path)


def test_a_training_runs_folder_is_its_newest_bundle(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "recipe.json").write_text("{}")
    for find in (
        captioner_folder,
        find_bundle_folders,
        lambda path: bundle_folder(str(path), path),
    ):
        with pytest.raises(ValueError, match="has not written weights yet"):
            find(run)
    finished = save_tiny_language_model(run / "bundle")
    assert bundle_folder(str(run), tmp_path) == captioner_folder(run) == finished
    unfinished = save_tiny_language_model(run / "unfinished")
    assert bundle_folder(str(run), tmp_path) == unfinished
    assert find_bundle_folders(run).language_models == (unfinished,)
