"""Two runtimes are compared on a data set."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.tiny import save_tiny_captioner

SCRIPT = Path(__file__).parents[2] / "scripts" / "compare_runtimes.py"


@pytest.fixture
def arguments(tmp_path: Path) -> list[str | Path]:
    images = []
    for number in range(3):
        Image.new("RGB", (40, 32), (80 * number, 90, 10)).save(tmp_path / f"{number}.png")
        caption = {"raw": "a dog", "tokens": ["a", "dog"]}
        images.append({"filename": f"{number}.png", "split": "test", "sentences": [caption] * 2})
    (tmp_path / "toys.json").write_text(json.dumps({"dataset": "toys", "images": images}))
    return [
        *(sys.executable, SCRIPT, save_tiny_captioner(tmp_path / "bundle")),
        *("--dataset", tmp_path / "toys.json", "--pictures", tmp_path, "--beam-size", "1", "2"),
    ]


@pytest.mark.slow
def test_agreement_is_printed_for_each_beam_size(arguments):
    names = ["cpu:torch:float32", "cpu:torch:bfloat16"]
    done = subprocess.run(
        [*arguments, "--runtimes", *names], check=True, capture_output=True, text=True
    )
    first, second = done.stdout.splitlines()
    for size, line in enumerate((first, second), 1):
        assert re.fullmatch(
            rf"beam {size}: \d of 3 identical, log-probabilities within [0-9.e+-]+, "
            rf"CIDEr [0-9.]+ with {names[0]}, [0-9.]+ with {names[1]}",
            line,
        )


@pytest.mark.parametrize("name", ["torch", "cpu:abacus:float32", "mars:torch:float32"])
def test_an_unknown_runtime_is_refused_in_words(arguments, name):
    done = subprocess.run(
        [*arguments, "--runtimes", "cpu:torch:float32", name],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert f"--runtimes {name}: " in done.stderr
    assert "Traceback" not in done.stderr
