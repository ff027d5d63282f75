"""The cache returns the encoder's features, computes them once, and survives being killed."""

from pathlib import Path

import pytest
import torch

from model.config import EncoderConfig, PreprocessingConfig
from model.data import feature_cache as features
from model.data.augmentation import CropConfig, augment
from model.data.feature_cache import FeatureCache, check_space
from model.data.karpathy import CaptionDataset
from model.networks.encoder import Encoder
from model.preprocessing import Preprocessing
from tests.model.data.toys import write_set


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "_PART", 4)


@pytest.fixture
def dataset(tmp_path: Path) -> CaptionDataset:
    return CaptionDataset(write_set(tmp_path, "meadow", 15), [tmp_path / "meadow"])


def make_encoder(seed: int = 0) -> Encoder:
    torch.manual_seed(seed)
    return Encoder(EncoderConfig("timm/test_efficientnet")).eval()


def make_cache(tmp_path: Path, dataset: CaptionDataset, **changes: object) -> FeatureCache:
    options = {
        "entries": dataset.split("train"),
        "encoder": make_encoder(),
        "preprocessing": Preprocessing(PreprocessingConfig(size=64)),
        "views": 2,
    } | changes
    cache = FeatureCache(tmp_path / "cache", dataset, **options)
    cache.compute()
    return cache


def parts(tmp_path: Path) -> dict[str, int]:
    """The files of the caches and when each was written."""
    return {
        str(path.relative_to(tmp_path)): path.stat().st_mtime_ns
        for path in (tmp_path / "cache").rglob("*")
        if path.is_file()
    }


class Broken(Encoder):
    """An encoder that must not be run."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        raise AssertionError("the encoder was run")


def make_broken_encoder() -> Broken:
    torch.manual_seed(0)
    return Broken(EncoderConfig("timm/test_efficientnet")).eval()


@pytest.mark.parametrize("view", range(3))
@pytest.mark.parametrize("index", [0, 3, 4, 10])
def test_the_cache_returns_the_encoders_features(tmp_path, dataset, index, view):
    cache = make_cache(tmp_path, dataset, views=3)
    entry = dataset.split("train")[index]
    picture = augment(dataset.picture(entry), view, entry.filename)
    with torch.inference_mode():
        grid = make_encoder()(
            torch.from_numpy(Preprocessing(PreprocessingConfig(size=64))([picture]))
        )
    kept = cache([index], [view])
    assert kept.dtype == torch.float16
    assert kept.shape == (1, 2, 2, 256)
    torch.testing.assert_close(kept.float(), grid, rtol=2e-3, atol=2e-3)


def test_rows_come_in_the_requested_order(tmp_path, dataset):
    cache = make_cache(tmp_path, dataset)
    together = cache([9, 0, 9], [1, 0, 0])
    for row, (index, view) in zip(together, [(9, 1), (0, 0), (9, 0)], strict=True):
        assert torch.equal(row, cache([index], [view])[0])


def test_an_existing_cache_is_only_read(tmp_path, dataset):
    indices, views = range(11), [0, 1] * 5 + [0]
    first = make_cache(tmp_path, dataset)(indices, views)
    written = parts(tmp_path)
    again = make_cache(tmp_path, dataset, encoder=make_broken_encoder())(indices, views)
    assert torch.equal(first, again)
    assert parts(tmp_path) == written


def test_only_missing_parts_are_computed_again(tmp_path, dataset):
    whole = make_cache(tmp_path, dataset)(range(11), [1] * 11)
    before = parts(tmp_path)
    missing = next(name for name in before if name.endswith("view1-000004.npy"))
    (tmp_path / missing).unlink()
    # What a run that was killed while it wrote leaves behind.
    (tmp_path / missing).with_suffix(".123.tmp").write_bytes(b"\x93NUMPY half")
    assert torch.equal(make_cache(tmp_path, dataset)(range(11), [1] * 11), whole)
    after = parts(tmp_path)
    assert {name for name in before if before[name] != after[name]} == {missing}


def test_a_part_is_never_seen_half_written(tmp_path, dataset, monkeypatch):
    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(features.np, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        make_cache(tmp_path, dataset)
    assert not list((tmp_path / "cache").rglob("*.npy"))


@pytest.mark.parametrize(
    "change",
    [
        {"encoder": make_encoder(1)},
        {"preprocessing": Preprocessing(PreprocessingConfig(size=32))},
        {"preprocessing": Preprocessing(PreprocessingConfig(size=64, resize="crop"))},
        {"dtype": torch.bfloat16},
        {"views": 3, "crops": CropConfig(smallest_side=0.5)},
    ],
    ids=["weights", "size", "resize", "dtype", "crops"],
)
def test_everything_that_changes_the_features_changes_the_folder(tmp_path, dataset, change):
    make_cache(tmp_path, dataset)
    before = set((tmp_path / "cache").iterdir())
    make_cache(tmp_path, dataset, **change)
    assert len(before) == 1
    assert len(set((tmp_path / "cache").iterdir())) == 2


def test_crops_that_are_not_used_change_nothing(tmp_path, dataset):
    make_cache(tmp_path, dataset)
    before = parts(tmp_path)
    make_cache(tmp_path, dataset, crops=CropConfig(smallest_side=0.5))
    make_cache(tmp_path, dataset, crops=CropConfig())
    assert parts(tmp_path) == before


def test_a_cache_of_pictures_that_were_read_differently_is_not_used(tmp_path, dataset, monkeypatch):
    make_cache(tmp_path, dataset)
    monkeypatch.setattr(features, "_FORMAT", features._FORMAT + 1)
    make_cache(tmp_path, dataset)
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_other_pictures_have_another_folder(tmp_path, dataset):
    make_cache(tmp_path, dataset)
    make_cache(tmp_path, dataset, entries=dataset.split("val"))
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_more_views_keep_the_existing_ones(tmp_path, dataset):
    two = make_cache(tmp_path, dataset)
    before = parts(tmp_path)
    three = make_cache(tmp_path, dataset, views=3)
    assert before.items() <= parts(tmp_path).items()
    assert torch.equal(two([5], [1]), three([5], [1]))


def test_a_trained_encoder_is_refused(tmp_path, dataset):
    with pytest.raises(ValueError, match=r"only a frozen encoder.*tune\(None\)"):
        make_cache(tmp_path, dataset, encoder=make_encoder().tune(-1))


def test_every_part_that_is_computed_advances(tmp_path, dataset):
    cache = FeatureCache(
        tmp_path / "cache",
        dataset,
        dataset.split("train"),
        encoder=make_encoder(),
        preprocessing=Preprocessing(PreprocessingConfig(size=64)),
        views=2,
    )
    seen: list[int] = []
    cache.compute(seen.append)
    assert seen == [4, 4, 3, 4, 4, 3]
    cache.compute(seen.append)
    assert sum(seen) == 22


def test_the_space_that_is_missing_is_known_beforehand(tmp_path, dataset):
    cache = FeatureCache(
        tmp_path / "cache",
        dataset,
        dataset.split("train"),
        encoder=make_encoder(),
        preprocessing=Preprocessing(PreprocessingConfig(size=64)),
        views=2,
    )
    assert (cache.missing, cache.missing_bytes()) == (22, 22 * 2 * 2 * 256 * 2)
    assert not (tmp_path / "cache").exists()
    cache.compute()
    assert (cache.missing, cache.missing_bytes()) == (0, 0)


def test_a_disk_without_room_is_refused(tmp_path):
    folder = tmp_path / "not" / "made"
    assert check_space(folder, 1) > 0
    with pytest.raises(OSError, match=r"take 1.0 PB in .*made, where .* set the recipe's"):
        check_space(folder, 10**15)
