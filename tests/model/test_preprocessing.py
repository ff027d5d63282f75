"""Preprocessing against the same computation by hand, in batches and one by one."""

import multiprocessing
import os
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import numpy as np
import pytest
from PIL import Image

from model import preprocessing
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


def test_channels_keep_their_order():
    red = Image.new("RGB", (8, 8), (255, 0, 0))
    channels = Preprocessing(PreprocessingConfig(size=8))([red])[0].mean((1, 2)).tolist()
    assert channels == pytest.approx([1, -127 / 128, -127 / 128])


def test_squash_keeps_the_whole_picture():
    config = PreprocessingConfig(size=32)
    wide = picture(90, 40)
    expected = by_hand(wide.resize((32, 32), Image.Resampling.BICUBIC), config)
    np.testing.assert_allclose(Preprocessing(config)([wide])[0], expected, atol=1e-5)


@pytest.mark.parametrize("size", [224, 260, 45])
@pytest.mark.parametrize(
    "shape",
    [
        (640, 480),
        (1201, 799),
        (500, 500),
        (501, 500),
        (500, 501),
        (600, 220),
        (480, 640),
        (764, 1200),
    ],
)
@pytest.mark.parametrize("busy", [False, True])
def test_two_threads_change_no_pixel(shape, size, busy, monkeypatch):
    config = PreprocessingConfig(size=size)
    large = picture(*shape)
    once = large.resize((size, size), Image.Resampling.BICUBIC)
    with ThreadPoolExecutor(1) as helper:
        monkeypatch.setattr(preprocessing, "_helper", lambda _: helper)
        done = Event()
        if busy:  # with another's picture
            helper.submit(done.wait)
        whole = Preprocessing(config)([large])
        done.set()
    assert (whole == Preprocessing(config)([once])).all()


def test_shapes_of_every_kind_have_the_pixels_of_one_resize():
    random = np.random.default_rng(1)
    for _ in range(60):
        width, height = random.integers(200, 1300, 2).tolist()
        large = picture(width, height)
        once = large.resize((64, 64), Image.Resampling.BICUBIC)
        assert np.array_equal(np.asarray(preprocessing._resize(large, 64)), np.asarray(once))


def test_a_large_picture_takes_two_threads(monkeypatch):
    asked = []

    class Helper(ThreadPoolExecutor):
        def submit(self, *arguments: object) -> object:
            asked.append(arguments[1:])
            return super().submit(*arguments)

    with Helper(1) as helper:
        monkeypatch.setattr(preprocessing, "_helper", lambda _: helper)
        for shape in ((640, 480), (300, 200), (480, 640)):
            Preprocessing(PreprocessingConfig(size=32))([picture(*shape)])
    assert [picture.size for picture, *_ in asked] == [(640, 480)]


def in_another_process(large: Image.Image) -> np.ndarray:
    return Preprocessing(PreprocessingConfig(size=32))([large])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_forked_process_resizes_too():
    large = picture(640, 480)
    own = in_another_process(large)  # so that this process has its second thread
    with multiprocessing.get_context("fork").Pool(1) as pool:
        others = pool.apply_async(in_another_process, [large]).get(timeout=60)
    assert (others == own).all()


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
