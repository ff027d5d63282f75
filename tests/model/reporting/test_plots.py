from pathlib import Path

import pytest
from PIL import Image

from model.reporting.plots import Line, Panel, draw

PANELS = [
    Panel("one", "steps", "nats", [Line("a", [1, 2, 3], [3.0, 2.0, 1.5], "#000000", marker="o")]),
    Panel(
        "two",
        "steps",
        "ratio",
        [
            Line("b", range(3), [1.0, 0.1, 0.0], "#0072B2", low=[0.5, 0, 0], high=[2, 1, 0.0]),
            Line("nothing", range(3), [0.0, 0.0, 0.0], "#009E73"),
        ],
        log=True,
    ),
]


def test_png_is_valid_and_always_the_same(tmp_path: Path) -> None:
    draw(PANELS, tmp_path / "deep" / "one.png")
    draw(PANELS, tmp_path / "two.png")
    with Image.open(tmp_path / "two.png") as picture:
        picture.load()
        assert picture.format == "PNG"
        assert picture.size == (1408, 528)
        assert len(picture.convert("RGB").getcolors(1_000_000) or ()) > 10
    assert (tmp_path / "deep" / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep", "two.png"]


def test_what_was_there_stays_where_drawing_fails(tmp_path: Path) -> None:
    path = tmp_path / "plot.png"
    path.write_text("before")
    with pytest.raises(ValueError, match="x and y must have same first dimension"):
        draw([Panel("", "", "", [Line("", [1, 2], [1.0], "#000000")])], path)
    assert path.read_text() == "before"
