"""A captioner learns to name what its CNN's classifier recognises, by one command."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from model.captioning.captioner import Captioner
from tests.tiny import save_tiny_captioner

SCRIPT = Path(__file__).parents[2] / "scripts" / "name_classes.py"
TABLE = 'water = [0]\nlion = { classes = [1], like = "cat" }\n'


def name(folder: Path, table: str) -> subprocess.CompletedProcess[str]:
    bundle = save_tiny_captioner(folder / "bundle", detected_words=6)
    images = []
    for number, colour in enumerate([(200, 10, 10), (10, 190, 20)]):
        Image.new("RGB", (40, 32), colour).save(folder / f"{number}.png")
        sentences = [{"raw": text} for text in ("blue water", "a dog", "the grass")]
        images.append({"filename": f"{number}.png", "split": "train", "sentences": sentences})
    (folder / "toys.json").write_text(json.dumps({"dataset": "toys", "images": images}))
    channels = Captioner.load(bundle, "cpu", runtime="torch").network.encoder.channels
    bias = torch.tensor([9.0, 0.0])  # everything belongs to the first class
    classifier = {"classifier.weight": torch.zeros(2, channels), "classifier.bias": bias}
    save_file(classifier, folder / "cnn.safetensors")
    (folder / "words.toml").write_text(table)
    command = [
        *(sys.executable, SCRIPT, bundle, folder / "words.toml", folder / "named"),
        *("--classifier", folder / "cnn.safetensors"),
        *("--dataset", folder / "toys.json", "--pictures", folder),
    ]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_a_bundle_gets_names_and_new_words(tmp_path):
    done = name(tmp_path, TABLE)
    assert done.returncode == 0, done.stderr
    assert "2 words name 2 classes, 1 of them new" in done.stdout
    captioner = Captioner.load(tmp_path / "named", "cpu", runtime="torch")
    assert captioner.vocabulary.tokens[-1] == "lion"
    rates = captioner.network.decoder.class_names.rates
    # A third of the captions of both say it, and half of those of four pictures more.
    assert rates[0, 0] == pytest.approx((2 / 3 + 2) / (2 + 4), abs=1e-3)
    (water,) = captioner.vocabulary.encode("water")
    grid = captioner.encode(captioner.prepare([Image.new("RGB", (64, 64), "red")]))
    evidence = captioner.runner.encode_context(grid).evidence[0]
    assert evidence[water] > 0  # the word detector does not know it


@pytest.mark.slow
def test_a_wrong_table_is_refused(tmp_path):
    done = name(tmp_path, "water = [2]\n")
    assert done.returncode == 2
    assert "water names class 2, but there are 0 to 1" in done.stderr
    assert not (tmp_path / "named").exists()
