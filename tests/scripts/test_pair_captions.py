"""Training pictures get more captions, and the rest of the data set is unchanged."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from model.bundle.read import load_bundle
from model.config import CaptionerConfig
from model.data.karpathy import CaptionDataset
from model.runtime.export import add_graphs
from tests.tiny import save_tiny_captioner, tiny_vocabulary

SCRIPT = Path(__file__).parents[2] / "scripts" / "pair_captions.py"


@pytest.mark.slow
def test_only_training_pictures_get_sentences_of_the_corpus(tmp_path, monkeypatch):
    words = tiny_vocabulary().tokens[4:]
    sentences = [" ".join(words[(i + j) % len(words)] for j in range(5)) for i in range(6)]
    images = []
    for number, split in enumerate(("train", "train", "val", "test")):
        Image.new("RGB", (40, 32), (40 * number, 90, 10)).save(tmp_path / f"{number}.png")
        captions = [{"raw": sentences[number], "tokens": sentences[number].split()}]
        images.append({"filename": f"{number}.png", "split": split, "sentences": captions})
    before = {"dataset": "toys", "images": images, "kept": "as it is"}
    (tmp_path / "toys.json").write_text(json.dumps(before))
    (tmp_path / "corpus.txt").write_text("\n".join(sentences) + "\n")
    bundle = save_tiny_captioner(tmp_path / "bundle")
    monkeypatch.setenv("UNROLLED_CACHE", str(tmp_path / "cache"))
    add_graphs(load_bundle(bundle, CaptionerConfig))  # as the shipped bundle has them
    command = [
        *(sys.executable, SCRIPT, bundle),
        *("--corpus", tmp_path / "corpus.txt", "--dataset", tmp_path / "toys.json"),
        *("--pictures", tmp_path, "--sentences", "3", "--output", tmp_path / "paired.json"),
    ]
    subprocess.run(command, check=True, capture_output=True)

    after = json.loads((tmp_path / "paired.json").read_text())
    assert after["kept"] == "as it is"
    for number, (image, original) in enumerate(zip(after["images"], images, strict=True)):
        caption, *added = image["sentences"]
        assert caption == original["sentences"][0]
        assert all(sentence["paired"] for sentence in added)
        paired = {sentence["raw"] for sentence in added}
        # Neither its own caption nor one of a held-out picture.
        allowed = set(sentences) - {sentences[number], sentences[2], sentences[3]}
        assert len(paired) == (3 if number < 2 else 0)
        assert paired <= allowed
    CaptionDataset(tmp_path / "paired.json", [tmp_path])
    assert not list(tmp_path.glob("*.tmp"))
