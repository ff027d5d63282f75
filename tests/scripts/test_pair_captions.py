"""A data set gets more captions for its training pictures, and stays what it was otherwise."""

import json
import subprocess
import sys
from pathlib import Path

from PIL import Image

from model.data.karpathy import CaptionDataset
from tests.tiny import save_tiny_captioner, tiny_vocabulary

SCRIPT = Path(__file__).parents[2] / "scripts" / "pair_captions.py"


def test_training_pictures_get_sentences_of_the_corpus_and_no_others_do(tmp_path):
    words = tiny_vocabulary().tokens[4:]
    sentences = [" ".join(words[(i + j) % len(words)] for j in range(5)) for i in range(6)]
    images = []
    for number, split in enumerate(("train", "train", "val", "test")):
        Image.new("RGB", (40, 32), (40 * number, 90, 10)).save(tmp_path / f"{number}.png")
        said = [{"raw": sentences[number], "tokens": sentences[number].split()}]
        images.append({"filename": f"{number}.png", "split": split, "sentences": said})
    before = {"dataset": "toys", "images": images, "kept": "as it is"}
    (tmp_path / "toys.json").write_text(json.dumps(before))
    (tmp_path / "corpus.txt").write_text("\n".join(sentences) + "\n")
    command = [
        *(sys.executable, SCRIPT, save_tiny_captioner(tmp_path / "bundle")),
        *("--corpus", tmp_path / "corpus.txt", "--dataset", tmp_path / "toys.json"),
        *("--pictures", tmp_path, "--sentences", "3", "--output", tmp_path / "paired.json"),
    ]
    subprocess.run(command, check=True, capture_output=True)

    after = json.loads((tmp_path / "paired.json").read_text())
    assert after["kept"] == "as it is"
    for number, (image, original) in enumerate(zip(after["images"], images, strict=True)):
        said, *more = image["sentences"]
        assert said == original["sentences"][0]
        assert all(sentence["paired"] for sentence in more)
        found = {sentence["raw"] for sentence in more}
        # Neither what was said of it already, nor anything said of what is held out.
        allowed = set(sentences) - {sentences[number], sentences[2], sentences[3]}
        assert len(found) == (3 if number < 2 else 0)
        assert found <= allowed
    CaptionDataset(tmp_path / "paired.json", [tmp_path])
    assert not list(tmp_path.glob("*.tmp"))
