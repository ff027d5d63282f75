"""The curves of several runs become one plot."""

import json
import subprocess
import sys
from pathlib import Path

from PIL import Image

SCRIPT = Path(__file__).parents[2] / "scripts" / "plot_captioner.py"


def test_the_curves_are_written_as_a_png(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        curve = [{"step": 10, "loss": 5.0}, {"step": 10, "epoch": 1, "flickr8k/cider": 0.2}]
        (tmp_path / name / "curve.json").write_text(json.dumps(curve))
    picture = tmp_path / "images" / "curves.png"
    command = [sys.executable, SCRIPT, tmp_path / "a", tmp_path / "b", picture]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=True)
    assert str(picture) in done.stdout
    with Image.open(picture) as drawn:
        assert drawn.format == "PNG"
