"""Finalizing a captioner: the bundle is complete, works, and matches its weights."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from model.captioning.captioner import Captioner
from model.data.karpathy import CaptionDataset
from model.training.finalize.finalize import (
    Finalized,
    FinalizeSettings,
    choose_golden,
    finalize,
)
from tests.model.data.toys import draw
from tests.model.evaluation.agreeing import write_agreeing_set
from tests.tiny import save_tiny_captioner, tiny_captioner

SETTINGS = FinalizeSettings(beam_sizes=(1, 2), level=0.3, java=False, progress=False)


@pytest.fixture(scope="module")
def captioner(tmp_path_factory: pytest.TempPathFactory) -> Captioner:
    """As from a bundle: its weights are such that half precision holds them."""
    return Captioner.load(save_tiny_captioner(tmp_path_factory.mktemp("b") / "b", seed=4), "cpu")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory, captioner: Captioner) -> CaptionDataset:
    return write_agreeing_set(tmp_path_factory.mktemp("toys"), captioner)


@pytest.fixture(scope="module")
def finalized(captioner: Captioner, dataset: CaptionDataset) -> Finalized:
    return finalize(captioner, [dataset], [draw(1), draw(2)], SETTINGS)


def test_everything_is_in_the_bundle(finalized, captioner, tmp_path):
    finalized.write(tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["new"]
    loaded = Captioner.load(tmp_path / "new", "cpu", self_test=True)
    assert len(loaded.config.golden) == 2
    assert loaded.config.calibration == finalized.report.calibration
    assert loaded.card == captioner.card
    assert loaded.config.decoding.consensus
    (before,) = captioner.caption([draw(3)], beam_size=3)
    (after,) = loaded.caption([draw(3)], beam_size=3, consensus=False)
    assert (after[0].text, after[0].logprob) == (before[0].text, before[0].logprob)
    assert before[0].agreement is None
    assert 0 <= after[0].agreement <= 1
    assert 0 < after[0].confidence < 1
    (grounded,) = loaded.caption([draw(3)], image_gain=True)
    assert all(token.image_gain is not None for token in grounded[0].tokens)


def test_a_bundle_can_be_finalized_again(finalized, tmp_path):
    for _ in range(2):
        finalized.write(tmp_path / "new")
    assert Captioner.load(tmp_path / "new", "cpu", self_test=True).self_test() == 2


def test_a_folder_of_something_else_is_left_alone(finalized, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ValueError, match="exists and is not a bundle"):
        finalized.write(tmp_path)
    assert (tmp_path / "thesis.tex").exists()


def test_the_report_has_every_set_and_beam_size(finalized, tmp_path):
    finalized.report.write(tmp_path / "reports")
    files = {path.name: path for path in (tmp_path / "reports").iterdir()}
    assert set(files) == {"calibration.json", "calibration.md", "reliability.png"}
    report = json.loads(files["calibration.json"].read_text())
    assert [(one["name"], one["beam_size"]) for one in report["sets"]] == [
        ("toys/val", 1), ("toys/val", 2),
    ]  # fmt: skip
    for one in report["sets"]:
        assert one["reliability"]["count"] == 60
        assert 0 < one["reliability"]["ece"] < 0.5
        assert sum(bin_["count"] for bin_ in one["reliability"]["equal_mass"]) == 60
    assert set(report["calibration"]["cider"]) == {"toys/val"}
    assert report["training_pictures"] == 9
    assert report["consensus"] == {"likelihood": 0.4, "rarity": 0.04, "candidates": 4}
    table = files["calibration.md"].read_text()
    assert table.count("| toys/val |") == 2
    few = "With fewer than 1,000 it may do more harm than good"
    assert few in table
    assert few not in replace(finalized.report, training_pictures=1000).as_markdown()
    assert "sigmoid(" in table
    with Image.open(files["reliability.png"]) as picture:
        assert picture.format == "PNG"


def test_a_consensus_can_be_left_out(captioner, dataset):
    captioner = finalize(captioner, [dataset], [], replace(SETTINGS, consensus=None)).captioner
    assert (captioner.reranker, captioner.config.consensus) == (None, None)
    assert not captioner.config.decoding.consensus
    assert "agreement" not in captioner.config.calibration.features


def test_golden_pictures_are_small_and_captioned_by_the_default_decoding(captioner):
    large = draw(5, (900, 600))
    (golden,) = choose_golden(captioner, [large])
    assert golden.picture.size == (256, 171)
    found = captioner.caption(golden.picture)
    assert (golden.expected.text, golden.expected.logprob) == (found[0].text, found[0].logprob)
    assert golden.expected.file == "golden/1.png"


def test_a_picture_whose_caption_depends_on_rounding_is_left_out():
    """A network with large weights reacts to every change of a pixel."""
    captioner = tiny_captioner()
    with torch.no_grad():
        captioner.network.decoder.to_values.weight *= 300
        captioner.network.decoder.to_word.weight *= 30
    noise = np.random.default_rng(0).integers(100, 120, (64, 64, 3), dtype=np.uint8)
    plain = Image.new("RGB", (64, 64), "white")
    with pytest.raises(ValueError, match=r"every golden picture gets another caption when"):
        choose_golden(captioner, [Image.fromarray(noise)])
    # White moves only where it can, downwards, and says the same.
    (kept,) = choose_golden(captioner, [Image.fromarray(noise), plain])
    assert kept.picture.tobytes() == plain.tobytes()
    assert kept.expected.file == "golden/1.png"


def test_too_many_golden_pictures_are_refused_before_any_work(captioner):
    with pytest.raises(ValueError, match="at most ten golden pictures, not 11: leave some out"):
        finalize(captioner, [], [draw(1)] * 11, SETTINGS)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"split": "nothing"}, "toys has no split 'nothing'"),
        ({"training_split": "nothing"}, "toys has no split 'nothing'"),
        ({"level": 0.999}, "too few to fit a confidence"),
        ({"limit": 3}, "are needed to say what a good caption is"),
        ({"beam_sizes": (11,)}, "beam_size"),
    ],
    ids=str,
)
def test_unusable_settings_are_reported(captioner, dataset, changes, message):
    with pytest.raises(ValueError, match=message):
        finalize(captioner, [dataset], [], replace(SETTINGS, **changes))
