"""Training pictures that look alike are found by their features."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from model.data.karpathy import CaptionDataset
from model.data.lookalikes import read_lookalikes
from tests.tiny import save_tiny_captioner

SCRIPT = Path(__file__).parents[2] / "scripts" / "find_lookalikes.py"
# Two reds and two greens to train on, and a red to validate on.
COLOURS = [(200, 10, 10), (10, 190, 20), (220, 20, 0), (20, 210, 30), (210, 10, 10)]


def find(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    images = []
    for number, colour in enumerate(COLOURS):
        Image.new("RGB", (40, 32), colour).save(folder / f"{number}.png")
        sentences = [{"raw": "a colour", "tokens": ["a", "colour"]}]
        split = "train" if number < 4 else "val"
        images.append({"filename": f"{number}.png", "split": split, "sentences": sentences})
    (folder / "toys.json").write_text(json.dumps({"dataset": "toys", "images": images}))
    command = [
        *(sys.executable, SCRIPT, save_tiny_captioner(folder / "bundle")),
        *("--dataset", folder / "toys.json", "--pictures", folder),
        *("--output", folder / "alike.json", *more),
    ]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_pictures_of_the_same_colour_are_nearest(tmp_path):
    done = find(tmp_path, "--count", "3")
    assert done.returncode == 0, done.stderr
    entries = CaptionDataset(tmp_path / "toys.json", [tmp_path]).split("train")
    lookalikes = read_lookalikes(tmp_path / "alike.json", entries, 3)
    assert [others[0] for others in lookalikes] == [2, 3, 0, 1]
    assert [sorted(others) for others in lookalikes] == [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]]


@pytest.mark.slow
def test_more_lookalikes_than_other_pictures_are_refused(tmp_path):
    done = find(tmp_path, "--count", "4")
    assert done.returncode == 2
    assert "1 to 3" in done.stderr
    assert not (tmp_path / "alike.json").exists()
