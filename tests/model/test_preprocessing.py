"""Preprocessing against the same computation by hand, in batches and one by one."""

import numpy as np
import pytest
from PIL import Image

from model.config import PreprocessingConfig
from model.preprocessing import Preprocessing

IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


def picture(width: int, height: int, seed: int = 0) -> Image.Image:
    random = np.random.default_rng(seed)
    return Image.fromarray(random.integers(0, 256, (height, width, 3), dtype=np.uint8))


def by_hand(resized: Image.Image, config: PreprocessingConfig) -> np.ndarray:
    pixels = np.array(resized).astype(np.float64) / 255
    return ((pixels - np.array(config.mean)) / np.array(config.std)).transpose(2, 0, 1)


@pytest.mark.parametrize("options", [{}, IMAGENET], ids=["lite", "imagenet"])
def test_a_picture_of_the_right_size_is_only_scaled(options):
    config = PreprocessingConfig(size=32, **options)
    batch = Preprocessing(config)([picture(32, 32)])
    assert batch.shape == (1, 3, 32, 32)
    assert batch.dtype == np.float32
    np.testing.assert_allclose(batch[0], by_hand(picture(32, 32), config), atol=1e-5)


def test_the_default_maps_bytes_to_about_minus_1_to_1():
    grey = Image.new("RGB", (8, 8), (127, 127, 127))
    assert not Preprocessing(PreprocessingConfig(size=8))([grey]).any()
    white = Image.new("RGB", (8, 8), (255, 255, 255))
    assert Preprocessing(PreprocessingConfig(size=8))([white]).mean() == pytest.approx(1)


@pytest.mark.parametrize("how", ["squash", "crop"])
def test_bytes_looked_up_in_the_tables_are_the_same_numbers(how):
    preprocessing = Preprocessing(PreprocessingConfig(size=32, resize=how, **IMAGENET))
    pictures = [picture(40, 30), picture(32, 32), picture(7, 90)]
    levels = preprocessing.resize(pictures)
    assert (levels.shape, levels.dtype) == ((3, 32, 32, 3), np.uint8)
    found = np.stack([preprocessing.tables[c][levels[..., c]] for c in range(3)], axis=1)
    assert np.array_equal(found, preprocessing(pictures))
    assert preprocessing.resize([]).shape == (0, 32, 32, 3)


def test_channels_keep_their_order():
    red = Image.new("RGB", (8, 8), (255, 0, 0))
    channels = Preprocessing(PreprocessingConfig(size=8))([red])[0].mean((1, 2)).tolist()
    assert channels == pytest.approx([1, -127 / 128, -127 / 128])


def test_squash_keeps_the_whole_picture():
    config = PreprocessingConfig(size=32)
    wide = picture(90, 40)
    expected = by_hand(wide.resize((32, 32), Image.Resampling.BICUBIC), config)
    np.testing.assert_allclose(Preprocessing(config)([wide])[0], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "box"), [((90, 40), (25, 0, 65, 40)), ((40, 91), (0, 25, 40, 65))]
)
def test_crop_keeps_the_centre_square(shape, box):
    config = PreprocessingConfig(size=32, resize="crop")
    square = picture(*shape).crop(box).resize((32, 32), Image.Resampling.BICUBIC)
    batch = Preprocessing(config)([picture(*shape)])
    np.testing.assert_allclose(batch[0], by_hand(square, config), atol=1e-5)


def test_crop_cuts_what_squash_keeps():
    marked = Image.new("RGB", (60, 20))
    marked.paste((255, 255, 255), (0, 0, 15, 20))
    squash, crop = (
        Preprocessing(PreprocessingConfig(size=16, resize=resize))([marked])
        for resize in ("squash", "crop")
    )
    assert squash.max() > 0.9
    assert crop.max() < 0


def test_squash_and_crop_agree_on_a_square():
    squash, crop = (
        Preprocessing(PreprocessingConfig(size=16, resize=resize))([picture(50, 50)])
        for resize in ("squash", "crop")
    )
    assert np.array_equal(squash, crop)


def test_a_batch_equals_its_pictures_one_by_one():
    prepare = Preprocessing(PreprocessingConfig(size=16))
    pictures = [picture(20 + i, 40 - i, seed=i) for i in range(4)]
    assert np.array_equal(prepare(pictures), np.concatenate([prepare([one]) for one in pictures]))


def test_preprocessing_is_deterministic():
    prepare = Preprocessing(PreprocessingConfig(size=16))
    assert np.array_equal(prepare([picture(50, 33)]), prepare([picture(50, 33)]))


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1)])
@pytest.mark.parametrize("resize", ["squash", "crop"])
def test_extreme_shapes_are_resized_too(shape, resize):
    batch = Preprocessing(PreprocessingConfig(size=16, resize=resize))([picture(*shape)])
    assert batch.shape == (1, 3, 16, 16)
    assert np.isfinite(batch).all()


def test_no_pictures_make_an_empty_batch():
    assert Preprocessing(PreprocessingConfig(size=16))([]).shape == (0, 3, 16, 16)


def test_the_picture_is_not_changed():
    one = picture(20, 30)
    Preprocessing(PreprocessingConfig(size=16, resize="crop"))([one])
    assert np.array_equal(np.array(one), np.array(picture(20, 30)))
