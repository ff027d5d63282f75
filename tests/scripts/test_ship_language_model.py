"""A trained language model is shipped with its scores, card and a sample."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from model.bundle.write import save_bundle
from model.data.corpus import Corpus
from model.text.language_model import LanguageModel
from tests.model.evaluation.test_language_model import RHYME, writer_of
from tests.model.evaluation.test_writing_report import REPORT as WRITING

SCRIPT = Path(__file__).parents[2] / "scripts" / "ship_language_model.py"


@pytest.mark.slow
def test_scores_and_a_sample_go_into_the_bundle(tmp_path):
    (tmp_path / "rhyme.txt").write_text(RHYME)
    language_model = writer_of(Corpus.read(tmp_path / "rhyme.txt"))
    trained = tmp_path / "trained"
    save_bundle(
        trained,
        language_model.config,
        language_model.network.state_dict(),
        language_model.vocabulary,
        "# Toy\n",
    )
    report = {
        "corpus": "rhyme",
        "level": "character",
        "nats": 1.25,
        "perplexity": 3.4903,
        "bits_per_character": 1.8034,
        "ngrams": [3.0, 2.0, 2.5],
    }
    (tmp_path / "report.json").write_text(json.dumps(report))
    (tmp_path / "card.md").write_text("# Card\n\n{scores}\n{writing}\n\n```\n{sample}\n```\n")
    WRITING.write(tmp_path / "writing")
    subprocess.run(
        [
            *(sys.executable, SCRIPT, trained, tmp_path / "card.md", tmp_path / "shipped"),
            *("--report", tmp_path / "report.json", "--writing", tmp_path / "writing.json"),
            *("--prompt", "Humpty", "--version", "7"),
        ],
        check=True,
        capture_output=True,
    )
    shipped = LanguageModel.load(tmp_path / "shipped", device="cpu")
    assert shipped.config.version == "7"
    assert shipped.config.scores["rhyme/validation"]["model"]["nats_per_character"] == 1.25
    assert "| **this one** | **1.250** |" in shipped.card
    assert "| best n-gram (order 2) | 2.000 |" in shipped.card
    assert WRITING.as_card() in shipped.card
    before = LanguageModel.load(trained, device="cpu")
    text = "".join(delta.text for delta in before.generate("Humpty", seed=1))
    assert f"Humpty{text}".strip("\n") in shipped.card
    for name, tensor in before.network.state_dict().items():
        assert tensor.equal(shipped.network.state_dict()[name])
