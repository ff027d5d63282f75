from pathlib import Path

import numpy as np
from PIL import Image

from model.reporting.grids import PictureRow, draw_pictures


def test_rows_are_drawn_the_same_each_time(tmp_path: Path) -> None:
    chance = np.random.default_rng(0)
    rows = [
        PictureRow("in colour", chance.normal(size=(3, 8, 8, 3))),
        PictureRow("flat", np.ones((2, 8, 8, 3)), stretch=False),
        PictureRow("grey", chance.normal(size=(1, 4, 4, 1))),
    ]
    for name in ("a.png", "b.png"):
        draw_pictures(rows, tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.width > picture.height
        assert len(picture.convert("RGB").getcolors(1_000_000) or ()) > 100


def test_a_row_is_stretched_or_left(tmp_path: Path) -> None:
    dim = np.stack([np.linspace(0, 1, 64), np.linspace(0, 0.1, 64)]).reshape(2, 8, 8, 1)
    darkest = {}
    for stretch in (True, False):
        path = tmp_path / f"{stretch}.png"
        draw_pictures([PictureRow("", dim, stretch=stretch)], path)
        with Image.open(path) as picture:
            right = np.asarray(picture.convert("L"))[:, picture.width * 3 // 4 :]
        darkest[stretch] = np.sort(right[right < 255])[-1]
    assert darkest[True] > 200 > darkest[False]
