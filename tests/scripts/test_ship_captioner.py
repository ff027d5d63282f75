"""A trained bundle is put into place with its scores, its card and its decoding."""

import json
import subprocess
import sys
from pathlib import Path

from model.captioner import Captioner
from tests.tiny import save_finished_captioner

SCRIPT = Path(__file__).parents[2] / "scripts" / "ship_captioner.py"


def test_scores_and_decoding_go_into_the_bundle(tmp_path):
    scores = {"bleu_1": 0.6, "bleu_4": 0.2, "rouge_l": 0.45, "meteor": None, "cider": 0.5246}
    report = {
        "dataset": "toys",
        "split": "test",
        "pictures": 7,
        "results": [{"beam_size": 3, "scores": scores}],
    }
    (tmp_path / "toys-test.json").write_text(json.dumps(report))
    (tmp_path / "card.md").write_text("# Card\n\n{scores}\n")
    trained = save_finished_captioner(tmp_path / "trained")
    command = [
        sys.executable,
        SCRIPT,
        trained,
        tmp_path / "card.md",
        tmp_path / "shipped",
        "--report",
        tmp_path / "toys-test.json",
        "--length-penalty",
        "0.5",
        "--block-ngram",
        "2",
    ]
    subprocess.run(command, check=True, capture_output=True)

    shipped, before = (
        Captioner.load(path, device="cpu") for path in (tmp_path / "shipped", trained)
    )
    assert shipped.config.scores["toys/test"]["3"]["cider"] == 0.5246
    assert "meteor" not in shipped.config.scores["toys/test"]["3"]
    assert (shipped.config.decoding.length_penalty, shipped.config.decoding.block_ngram) == (0.5, 2)
    assert (shipped.config.calibration, shipped.golden, shipped.mean_picture) == (None, (), None)
    assert "| toys test (7 pictures) | 3 | 60.0 | 20.0 | 45.0 | - | 52.5 |" in shipped.card
    for name, tensor in before.network.state_dict().items():
        assert tensor.equal(shipped.network.state_dict()[name])
