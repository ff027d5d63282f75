"""Heat maps over pictures: where they are bright, and how large they are."""

import io

import numpy as np
import pytest
from PIL import Image

from model.captioning.overlay import OVERLAY_SIDE, draw_overlay


def drawn(picture: Image.Image, attention: object) -> Image.Image:
    data = draw_overlay(picture, attention)
    assert len(data) < 100_000
    with Image.open(io.BytesIO(data), formats=["PNG"]) as opened:
        return opened.convert("RGB")


@pytest.mark.parametrize(
    ("size", "expected"),
    [((448, 224), (224, 112)), ((30, 60), (112, 224)), ((5, 5), (224, 224)), ((3000, 1), (224, 1))],
)
def test_the_longer_side_has_a_bounded_size_and_the_shape_stays(size, expected):
    assert drawn(Image.new("RGB", size), [[0.25, 0.25], [0.25, 0.25]]).size == expected
    assert max(expected) == OVERLAY_SIDE


def test_the_picture_is_bright_where_the_captioner_looked():
    attention = np.full((4, 4), 0.01)
    attention[3, 0] = 0.85  # bottom left
    grey = np.asarray(drawn(Image.new("RGB", (224, 224), "grey"), attention).convert("L"))
    bright, dark = grey[168:, :56].mean(), grey[:56, 168:].mean()
    assert bright > dark + 40
    assert abs(float(dark) - 0.7 * 128) < 12  # the picture itself, a little darker


def test_noise_stays_small():
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    drawn(Image.fromarray(noise), [[0.5, 0.5]])
