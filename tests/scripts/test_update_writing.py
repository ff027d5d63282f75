"""The card of a shipped language model gets what is said of its writing."""

import runpy
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from model.bundle.write import save_bundle
from model.text.language_model import LanguageModel
from tests.model.evaluation.test_writing_report import REPORT, ROW
from tests.tiny import tiny_language_model

SCRIPT = Path(__file__).parents[2] / "scripts" / "update_writing.py"
CARD = "# Toy\n\n## What it writes\n\nold lines\n\nmore\n\n## Limits\n\nNone.\n"


@pytest.fixture
def update(tmp_path, monkeypatch):
    """Make a bundle with a card and a report on a model, and run the script on both."""

    def run(card: str, model: str) -> None:
        tiny = tiny_language_model()
        state = tiny.network.state_dict()
        save_bundle(
            tmp_path / "toy", replace(tiny.config, name="toy"), state, tiny.vocabulary, card
        )
        replace(REPORT, model=model).write(tmp_path / "report")
        words = [SCRIPT, tmp_path / "toy", tmp_path / "report.json"]
        monkeypatch.setattr(sys, "argv", list(map(str, words)))
        runpy.run_path(str(SCRIPT), run_name="__main__")

    return run


def test_the_lines_are_replaced_and_the_bundle_still_loads(update, tmp_path):
    update(CARD, "toy")
    card = LanguageModel.load(tmp_path / "toy", device="cpu", runtime="torch").card
    assert ROW in card.splitlines()
    assert "old lines" not in card
    assert "more" not in card
    assert card.startswith("# Toy\n\n## What it writes\n\n2 texts")
    assert card.endswith("\n\n## Limits\n\nNone.\n")


@pytest.mark.parametrize(
    ("card", "model", "says"),
    [
        ("# Toy\n", "toy", 'needs one heading "## What it writes"'),
        (CARD, "other", "the report is on other, but the bundle is toy"),
    ],
)
def test_a_card_or_report_that_does_not_fit_is_refused(update, tmp_path, capsys, card, model, says):
    with pytest.raises(SystemExit):
        update(card, model)
    assert says in capsys.readouterr().err
    assert LanguageModel.load(tmp_path / "toy", device="cpu", runtime="torch").card == card
