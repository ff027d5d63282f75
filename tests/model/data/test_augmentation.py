"""A view is a function of picture, number and seed, and a caption follows its mirror image."""

import numpy as np
import pytest
from PIL import Image

from model.data.augmentation import CropConfig, augment, is_mirrored, mirror_caption
from tests.model.data.toys import draw

SEEDS = [f"picture-{i}.jpg" for i in range(40)]


def pixels(picture: Image.Image) -> np.ndarray:
    return np.array(picture).astype(int)


def left_is_red() -> Image.Image:
    picture = np.zeros((60, 60, 3), np.uint8)
    picture[:, :30, 0] = picture[:, 30:, 2] = 200
    return Image.fromarray(picture)


def test_view_0_is_the_unchanged_picture():
    assert np.array_equal(pixels(augment(draw(1), 0, "a")), pixels(draw(1)))


def test_view_1_is_the_mirror_image():
    assert np.array_equal(pixels(augment(draw(1), 1, "a")), pixels(draw(1))[:, ::-1])


@pytest.mark.parametrize("view", range(5))
def test_the_same_seed_gives_the_same_view(view):
    first, second = augment(draw(1), view, "a.jpg"), augment(draw(1), view, "a.jpg")
    assert first.size == second.size
    assert np.array_equal(pixels(first), pixels(second))


def test_later_views_differ_by_seed_and_by_number():
    shapes = {augment(draw(1, (200, 200)), view, seed).size for view in (2, 3) for seed in SEEDS}
    assert len(shapes) > 70


def test_a_crop_keeps_most_of_the_picture():
    for seed in SEEDS:
        width, height = augment(draw(1, (100, 60)), 2, seed).size
        assert 70 <= width <= 100
        assert 42 <= height <= 60


def test_the_smallest_picture_has_every_view():
    assert augment(draw(1, (1, 1)), 2, "a").size == (1, 1)


def test_augment_does_not_change_its_argument():
    picture = draw(1)
    augment(picture, 2, "a")
    assert np.array_equal(pixels(picture), pixels(draw(1)))


@pytest.mark.parametrize("view", range(4))
def test_is_mirrored_agrees_with_augment(view):
    for seed in SEEDS:
        seen = pixels(augment(left_is_red(), view, seed))
        red_is_left = seen[:, 0, 0].mean() > seen[:, -1, 0].mean()
        assert is_mirrored(view, seed) != red_is_left


def test_half_of_the_crops_are_mirrored():
    mirrored = sum(is_mirrored(2, f"{i}") for i in range(400))
    assert 150 < mirrored < 250


@pytest.mark.parametrize(
    ("caption", "mirrored"),
    [
        ("a dog on the left", "a dog on the right"),
        ("Left of a man, right of a cat.", "right of a man, left of a cat."),
        ("a left-handed man", "a right-handed man"),
        ("a bright leftover", "a bright leftover"),
        ("nothing of the kind", "nothing of the kind"),
    ],
)
def test_a_mirrored_caption_swaps_left_and_right(caption, mirrored):
    assert mirror_caption(caption) == mirrored


def test_crops_may_be_smaller_and_differ_more_in_colour():
    crops = CropConfig(smallest_side=0.3, colour=0.9)
    views = [augment(draw(1, (100, 60)), 2, seed, crops) for seed in SEEDS]
    assert 30 <= min(view.width for view in views) < 50
    assert 18 <= min(view.height for view in views) < 30
    brightness = [pixels(view).mean() for view in views]
    usual = [pixels(augment(draw(1, (100, 60)), 2, seed)).mean() for seed in SEEDS]
    assert max(brightness) - min(brightness) > 2 * (max(usual) - min(usual))


def test_half_of_the_crops_lose_a_grey_rectangle():
    white = Image.new("RGB", (100, 100), "white")
    crops = CropConfig(smallest_side=1.0, colour=0.0, erased=0.5)
    lost = [(pixels(augment(white, 2, f"{i}", crops)) == 127).all(-1) for i in range(200)]
    shares = [grey.mean() for grey in lost if grey.any()]
    assert 70 < len(shares) < 130
    assert max(shares) <= 0.25
    for grey in lost:  # one rectangle
        rows, columns = grey.any(1).sum(), grey.any(0).sum()
        assert grey.sum() == rows * columns


@pytest.mark.parametrize("crops", [{"smallest_side": 0}, {"colour": 1}, {"erased": 1}])
def test_crops_out_of_range_are_refused(crops):
    with pytest.raises(ValueError, match=next(iter(crops))):
        CropConfig(**crops)
