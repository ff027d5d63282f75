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
from tests.tiny import save_tiny_captioner


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_captioner(tmp_path_factory.mktemp("weights") / "captioner")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_all(tmp_path_factory.mktemp("several"))


def test_a_bundle_or_the_folder_above_it(bundle: Path) -> None:
    assert captioner_folder(bundle) == bundle
    assert captioner_folder(bundle.parent) == bundle


def test_listing(bundle: Path) -> None:
    (found,) = list_bundles(bundle.parent)
    assert (found.name, found.kind, found.version) == ("tiny", "captioner", "0")
    assert found.size == sum(path.stat().st_size for path in bundle.iterdir())
    assert list_bundles(bundle) == [found]


def test_nothing_to_list(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no bundle"):
        list_bundles(tmp_path)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"name": "x"}'])
def test_a_configuration_that_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ValueError, match=r"config\.json is no bundle"):
        list_bundles(tmp_path)


def test_what_a_service_loads(weights: Path, bundle: Path) -> None:
    text = weights / "text"
    found = find_bundle_folders(weights)
    assert found.captioner == weights / "captioner"
    assert found.language_models == (text / "notes", text / "verse")
    assert find_bundle_folders(text / "verse").language_models == (text / "verse",)
    assert find_bundle_folders(bundle).captioner == bundle


def test_a_bundle_by_name_or_path(weights: Path) -> None:
    verse = weights / "text" / "verse"
    assert bundle_folder("verse", weights) == bundle_folder(str(verse), weights) == verse
    assert bundle_folder("captioner", weights) == weights / "captioner"
    with pytest.raises(ValueError, match="there is 'captioner', 'notes', 'verse'"):
        bundle_folder("prose", weights)
    with pytest.raises(ValueError, match="prose is no bundle's folder, and there is no bundle in"):
        bundle_folder("prose", weights / "text" / "verse" / "nowhere")


def test_of_which_kind(weights: Path, tmp_path: Path) -> None:
    assert is_text_bundle(weights / "text" / "verse")
    assert not is_text_bundle(weights / "captioner")
    for content in ("", "[]", "[" * 99_999):
        (tmp_path / "config.json").write_text(content)
        assert not is_text_bundle(tmp_path)
