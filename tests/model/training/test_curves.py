"""The curves of several runs become panels, each run starting where the one before it ended."""

import pytest

from model.training.curves import training_panels

FIRST = [
    {"step": 10, "loss": 5.0, "learning_rate": 0.001},
    {"step": 10, "epoch": 1, "cider": 0.3, "flickr8k/cider": 0.2, "coco4k/cider": 0.4},
    {"step": 20, "loss": 4.0},
    {"step": 20, "epoch": 2, "cider": 0.4, "flickr8k/cider": 0.3, "coco4k/cider": 0.5},
    {"step": 30, "loss": 3.9},  # not yet validated
]
SECOND = [
    {"step": 0, "epoch": 0, "cider": 0.4, "flickr8k/cider": 0.3},
    {"step": 7, "reward": 1.2},
    {"step": 7, "epoch": 1, "cider": 0.5, "flickr8k/cider": 0.35},
]


def test_each_run_continues_the_curve_of_the_one_before():
    found = {panel.title: panel for panel in training_panels({"a": FIRST, "b": SECOND})}
    loss, reward, cider = found.values()
    (line,) = loss.lines
    assert (line.label, line.x, line.y) == ("a", [1, 2], [5.0, 4.0])
    (line,) = reward.lines
    assert (line.label, line.x, line.y) == ("b", [3], [1.2])
    assert [(line.label, line.x) for line in cider.lines] == [
        ("a: flickr8k", [1, 2]),
        ("a: coco4k", [1, 2]),
        ("b: flickr8k", [2, 3]),
    ]
    assert cider.lines[2].y == pytest.approx([30, 35])
    assert cider.lines[0].colour != cider.lines[2].colour
    assert cider.lines[0].style != cider.lines[1].style
