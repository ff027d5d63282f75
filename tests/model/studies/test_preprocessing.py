"""What the docs say of preprocessing, measured."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from model.studies.digits import digits, learn
from model.studies.preprocess import METHODS, fit, spread
from model.studies.preprocessing_study import (
    PARTS,
    PreprocessingStudySettings,
    _network,
    _prepared,
    crops,
    study_preprocessing,
)


def quiet(line: str) -> None:
    pass


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two smooth pictures in colour, a tiny one, and a text."""
    folder = tmp_path_factory.mktemp("photographs")
    chance = np.random.default_rng(0)
    for name in ("a.png", "b.jpg"):
        coarse = Image.fromarray(chance.integers(0, 256, (8, 10, 3), dtype=np.uint8))
        coarse.resize((60, 48), Image.Resampling.BICUBIC).save(folder / name)
    Image.new("RGB", (3, 3)).save(folder / "tiny.png")
    (folder / "readme.txt").write_text("not a photograph")
    return folder


@pytest.fixture
def x(photographs: Path) -> torch.Tensor:
    return crops(photographs, 400, size=4)


def test_crops_are_pieces_of_the_photographs(photographs: Path) -> None:
    cut = crops(photographs, 6, size=4, seed=3)
    assert cut.shape == (6, 48)
    whole = np.asarray(Image.open(photographs / "a.png"))
    windows = np.lib.stride_tricks.sliding_window_view(whole, (4, 4, 3)).reshape(-1, 48)
    assert (windows == cut[0].numpy()).all(axis=1).any()
    assert crops(photographs, 6, size=4, seed=3).equal(cut)
    assert not crops(photographs, 6, size=4, seed=4).equal(cut)


def test_centring_subtracts_a_picture_or_a_number_a_channel(x: torch.Tensor) -> None:
    by_picture = fit("centred, mean picture", x, channels=3)
    assert by_picture.mean.numel() == 48
    assert by_picture(x).mean(dim=0).abs().max() < 1e-9
    by_channel = fit("centred, mean by channel", x, channels=3)
    assert len(by_channel.mean.unique()) == 3
    done = by_channel(x).view(-1, 3)
    assert done.mean(dim=0).abs().max() < 1e-9
    assert by_channel(x).mean(dim=0).abs().max() > 0.1
    assert fit("raw", x)(x).equal(x)


def test_scaling_gives_every_value_the_deviation_1(x: torch.Tensor) -> None:
    found = spread(fit("scaled", x)(x))
    assert found.mean < 1e-9
    assert found.deviations == pytest.approx((1, 1), abs=0.01)
    assert found.correlation == pytest.approx(spread(x).correlation)


def test_pca_decorrelates_and_is_a_rotation(x: torch.Tensor) -> None:
    assert spread(x).correlation > 0.2
    pca = fit("PCA", x)
    assert spread(pca(x)).correlation < 1e-9
    centred = fit("centred, mean picture", x)(x)
    torch.testing.assert_close(pca(x).norm(dim=1), centred.norm(dim=1))
    torch.testing.assert_close(pca.to_look_at(x), centred)
    assert spread(pca(x)).condition == pytest.approx(spread(centred).condition, rel=1e-3)


def test_pca_keeps_the_directions_of_most_variance(x: torch.Tensor) -> None:
    few = fit("PCA", x, keep=0.9)
    whole = fit("centred, mean picture", x)(x).square().sum()
    assert few(x).square().sum() >= 0.9 * whole
    kept = few.matrix.shape[1]
    assert kept < 24
    assert few(x)[:, :-1].square().sum() < 0.9 * whole  # one direction fewer would not do
    variances = few(x).square().mean(dim=0)
    assert variances.equal(variances.sort(descending=True).values)


def test_whitening_makes_the_covariance_the_identity(x: torch.Tensor) -> None:
    done = fit("whitened", x, keep=0.9)(x)
    covariance = done.T @ done / len(x)
    torch.testing.assert_close(covariance, torch.eye(len(covariance)).double(), atol=0.03, rtol=0)
    assert spread(done).condition < 1.05


def test_a_value_that_never_varies_stays_finite() -> None:
    x = torch.tensor([[1.0, 5.0, 0.0], [3.0, 5.0, 1.0], [2.0, 5.0, 5.0]])
    for method in METHODS:
        assert fit(method, x)(x).isfinite().all()
    assert fit("scaled", x)(x)[:, 1].eq(0).all()
    with pytest.raises(ValueError, match="unknown method 'zoomed': choose from raw, centred"):
        fit("zoomed", x)


def test_the_test_part_is_prepared_by_what_the_training_part_says() -> None:
    prepared, data = _prepared("centred, mean picture"), digits()
    assert prepared.train.mean(dim=0).abs().max() < 1e-4
    assert prepared.test.mean(dim=0).abs().max() > 0.1
    torch.testing.assert_close(prepared.test, data.test - data.train.mean(dim=0))


def test_centring_allows_a_rate_at_which_raw_digits_are_not_learned() -> None:
    right = {}
    for method in ("raw", "centred, mean picture", "scaled"):
        prepared = _prepared(method)
        right[method] = learn(_network(prepared, 1), prepared, rate=0.3, epochs=3, seed=1).test
    assert right["raw"] < 0.2
    assert right["centred, mean picture"] > 0.9
    assert right["scaled"] > 0.9


@pytest.mark.slow
def test_every_part_reports_what_it_measured(photographs: Path, tmp_path: Path) -> None:
    settings = PreprocessingStudySettings(
        photographs=photographs, crops=200, seeds=2, epochs=1, rates=(0.03, 0.1)
    )
    report = study_preprocessing(settings, report_progress=quiet)
    assert tuple(report.as_dict()) == PARTS
    files = report.write(tmp_path)
    assert {path.name for path in files} == {path.name for path in tmp_path.iterdir()}
    assert len(files) == 2 + len(PARTS)
    for path in files[2:]:
        with Image.open(path) as picture:
            picture.load()
            assert len(picture.convert("RGB").getcolors(1_000_000) or ()) > 10
    text = (tmp_path / "preprocessing.md").read_text()
    data = json.loads((tmp_path / "preprocessing.json").read_text())
    assert f"| raw | 768 | {data['photographs']['raw']['mean']:.3g} |" in text
    assert len(data["training"]["PCA"]["0.1"]) == 2


def test_bad_settings_are_reported(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unknown part 'colours': choose from photographs"):
        PreprocessingStudySettings(("colours",), photographs=tmp_path)
    with pytest.raises(ValueError, match="crops must be at least 8, got 3"):
        PreprocessingStudySettings(photographs=tmp_path, crops=3)
    with pytest.raises(ValueError, match="seeds must be at least 1"):
        PreprocessingStudySettings(photographs=tmp_path, seeds=0)
    with pytest.raises(ValueError, match="learning rates must be above 0"):
        PreprocessingStudySettings(photographs=tmp_path, rates=(-1.0,))
    with pytest.raises(ValueError, match="holds no photograph of at least 16 x 16 pixels"):
        study_preprocessing(PreprocessingStudySettings(photographs=tmp_path), report_progress=quiet)
