"""A trained captioner is shipped with its scores, card and decoding."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from model.captioning.captioner import Captioner
from tests.tiny import save_finalized_captioner

SCRIPT = Path(__file__).parents[2] / "scripts" / "ship_captioner.py"

CALIBRATION = {
    "ece": 0.041,
    "ece_by_chance": 0.03,
    "equal_width": [{"low": 0.2, "high": 0.3, "count": 5, "confidence": 0.244, "good": 0.4}],
}
SCORES = {"bleu_1": 0.6, "bleu_4": 0.2, "rouge_l": 0.45, "meteor": None, "cider": 0.5246}


def ship(trained: Path, folder: Path, *more: str) -> Captioner:
    report = {
        "dataset": "toys",
        "split": "test",
        "pictures": 7,
        "results": [
            {"beam_size": 1, "scores": SCORES, "calibration": None},
            {"beam_size": 3, "scores": SCORES, "calibration": CALIBRATION},
        ],
    }
    (folder / "toys-test.json").write_text(json.dumps(report))
    (folder / "card.md").write_text("# Card\n\n{scores}\n\n{confidence}\n")
    command = [
        *(sys.executable, SCRIPT, trained, folder / "card.md", folder / "shipped"),
        *("--report", folder / "toys-test.json", *more),
    ]
    subprocess.run(command, check=True, capture_output=True)
    return Captioner.load(folder / "shipped", device="cpu", self_test=True)


@pytest.mark.slow
def test_scores_and_decoding_go_into_the_bundle(tmp_path):
    trained = save_finalized_captioner(tmp_path / "trained")
    shipped = ship(
        trained,
        tmp_path,
        "--length-penalty",
        "0.5",
        "--no-repeat-ngram-size",
        "2",
        "--no-repeat-nouns",
        "--no-open-endings",
    )
    assert shipped.config.scores["toys/test"]["3"]["cider"] == 0.5246
    assert "meteor" not in shipped.config.scores["toys/test"]["3"]
    assert (
        shipped.config.decoding.length_penalty,
        shipped.config.decoding.no_repeat_ngram_size,
        shipped.config.decoding.no_repeat_nouns,
        shipped.config.decoding.no_open_endings,
    ) == (0.5, 2, True, True)
    assert "| toys test (7 pictures) | 3 | 60.0 | 20.0 | 45.0 | - | 52.5 |" in shipped.card
    assert "calibration error 4.1 (3.0 " in shipped.card
    assert "| 20 to 30 | 5 | 24.4 | 40.0 |" in shipped.card
    # Calibration, consensus and golden captions hold for the old decoding only.
    assert (shipped.config.calibration, shipped.config.golden) == (None, ())
    assert not shipped.has_consensus
    assert not shipped.has_image_gain
    assert not shipped.config.decoding.consensus
    before = Captioner.load(trained, device="cpu")
    for name, tensor in before.network.state_dict().items():
        assert tensor.equal(shipped.network.state_dict()[name])


@pytest.mark.slow
def test_a_captioner_is_shipped_without_reports(tmp_path):
    trained = save_finalized_captioner(tmp_path / "trained")
    (tmp_path / "card.md").write_text("# Card\n\n{confidence}\n")
    command = [sys.executable, SCRIPT, trained, tmp_path / "card.md", tmp_path / "shipped"]
    subprocess.run(command, check=True, capture_output=True)
    shipped = Captioner.load(tmp_path / "shipped", device="cpu")
    assert (shipped.config.scores, shipped.card) == ({}, "# Card\n\nNot measured yet.\n")


@pytest.mark.slow
def test_a_finished_captioner_stays_finished_if_its_decoding_is_unchanged(tmp_path):
    trained = save_finalized_captioner(tmp_path / "trained")
    before = Captioner.load(trained, device="cpu")
    shipped = ship(trained, tmp_path, "--name", "another", "--version", "9")
    assert (shipped.config.name, shipped.config.version) == ("another", "9")
    assert shipped.config.calibration == before.config.calibration is not None
    assert shipped.config.golden == before.config.golden != ()
    assert shipped.has_image_gain
    assert shipped.has_consensus
    assert shipped.config.decoding == before.config.decoding


def test_a_card_says_what_is_wrong_at_each_confidence(tmp_path: Path) -> None:
    thresholds = [
        {"min_confidence": n / 10, "kept": 1 - n / 10, "wrong": 0.5 - n / 20 if n < 9 else None}
        for n in range(10)
    ]
    tags = [
        {
            "kind": kind,
            "min_probability": least,
            "per_picture": 4.0,
            "probability": 0.7,
            "precision": 0.65,
        }
        for kind in (None, "noun", "verb")
        for least in (0.1, 0.9)
    ]
    report = {
        "dataset": "toys",
        "split": "val",
        "pictures": 9,
        "tags": tags,
        "results": [
            {
                "beam_size": 3,
                "scores": SCORES,
                "calibration": CALIBRATION | {"thresholds": thresholds},
            }
        ],
    }
    (tmp_path / "toys-val.json").write_text(json.dumps(report))
    (tmp_path / "card.md").write_text("# Card\n\n{errors}\n\n{tags}\n")
    trained = save_finalized_captioner(tmp_path / "trained")
    command = [
        *(sys.executable, SCRIPT, trained, tmp_path / "card.md", tmp_path / "shipped"),
        *("--report", tmp_path / "toys-val.json"),
    ]
    subprocess.run(command, check=True, capture_output=True)
    card = (tmp_path / "shipped" / "README.md").read_text()
    assert "| min_confidence | toys val, kept | toys val, of these wrong |" in card
    assert "| 0.3 | 70.0 | 35.0 |" in card
    assert "| 0.9 | 10.0 | - |" in card
    assert "toys val (9 pictures):" in card
    assert "| 0.9 | 4.0 | 65.0 | 4.0 | 65.0 | 4.0 | 65.0 |" in card
