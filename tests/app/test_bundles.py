from pathlib import Path

import pytest

from app.bundles import captioner_folder, list_bundles


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
