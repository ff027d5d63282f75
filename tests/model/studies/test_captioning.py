"""How a picture comes into a caption: the sums, taken apart, are the network's own."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from model.captioning.captioner import Captioner
from model.data.karpathy import CaptionDataset
from model.studies.captioning import measure_gain, walk
from model.studies.captioning_study import CaptioningStudySettings, study_captioning
from model.vocabulary import START
from tests.model.data.toys import write_set
from tests.tiny import rebuild, tiny_captioner

RED, NAVY = (Image.new("RGB", (30, 20), colour) for colour in ("red", "navy"))


def watch(module: nn.Module) -> list[Tensor]:
    """Record what a module is given, step by step."""
    seen: list[Tensor] = []
    module.register_forward_hook(lambda _module, given, _result: seen.append(given[0]))
    return seen


def size(sums: Tensor) -> float:
    return float(sums.square().mean().sqrt())


@pytest.mark.parametrize("cell", ["lstm", "rnn"])
@torch.inference_mode()
def test_attention_adds_to_every_step(cell):
    captioner = tiny_captioner(cell=cell)
    decoder: Any = captioner.network.decoder
    inputs, states = watch(decoder.to_language), watch(decoder.language_cell.recurrent)
    steps = walk(captioner, RED, NAVY)
    # The search comes first, of one picture with one beam; it may end before others would.
    for step, given, state in zip(steps, inputs, states, strict=False):
        picture, looking = given.flatten().chunk(2)
        weights = decoder.to_language.weight.chunk(2, dim=1)
        assert step.terms["picture"] == pytest.approx(size(weights[0] @ picture), rel=1e-4)
        assert step.terms["looking"] == pytest.approx(size(weights[1] @ looking), rel=1e-4)
        expected = size(decoder.language_cell.recurrent.weight @ state.flatten())
        assert step.terms["state"] == pytest.approx(expected, rel=1e-4, abs=1e-6)
    assert steps[0].reads == START
    assert [step.reads for step in steps[1:]] == [step.says for step in steps[:-1]]


@pytest.mark.parametrize("cell", ["lstm", "rnn"])
def test_show_and_tell_reads_the_picture_before_the_first_word(cell):
    captioner = tiny_captioner(kind="global", cell=cell)
    decoder: Any = captioner.network.decoder
    first, *steps = walk(captioner, RED, NAVY)
    with torch.inference_mode():
        pooled = captioner.encode(captioner.prepare([RED])).mean((1, 2))
        of_picture = decoder.to_embedding(pooled)[0]
        of_start = decoder.embedding.weight[captioner.vocabulary.start_id]
        weight = decoder.from_word.weight
        assert (first.reads, first.says) == (None, None)
        assert first.terms == {"picture": pytest.approx(size(weight @ of_picture), rel=1e-4)}
        assert steps[0].terms["word"] == pytest.approx(size(weight @ of_start), rel=1e-4)
    assert all(set(step.terms) == {"word", "state"} for step in steps)


@pytest.mark.parametrize("kind", ["attention", "global"])
def test_probabilities_are_those_of_both_pictures(kind):
    captioner = tiny_captioner(kind=kind)
    steps = [step for step in walk(captioner, RED, NAVY) if step.says]
    text = " ".join(step.says for step in steps[:-1])
    assert steps[-1].says == "<END>"
    for picture, name in ((RED, "probability"), (NAVY, "elsewhere")):
        scored = captioner.score(picture, text)
        given = [getattr(step, name) for step in steps]
        assert given == pytest.approx([2.718281828**t.logprob for t in scored.tokens], rel=1e-4)


def test_gated_cells_of_another_kind_are_refused():
    with pytest.raises(ValueError, match="the sums of gru cells have other parts"):
        walk(tiny_captioner(cell="gru"), RED, NAVY)


@pytest.fixture
def dataset(tmp_path: Path) -> CaptionDataset:
    return CaptionDataset(write_set(tmp_path, "meadow", 21), [tmp_path / "meadow"])


@pytest.mark.parametrize("batch_size", [2, 32])
def test_gains_compare_each_picture_with_the_next(dataset, batch_size):
    captioner = tiny_captioner()
    found = measure_gain(captioner, dataset, "val", batch_size=batch_size)
    entries = dataset.split("val")
    assert len(entries) == found.pictures == 3
    gains: dict[int, list[float]] = {}
    for entry, other in zip(entries, [*entries[1:], entries[0]], strict=True):
        for text in entry.captions:
            pair = [captioner.score(dataset.picture(one), text) for one in (entry, other)]
            for place, (own, without) in enumerate(zip(*(one.tokens for one in pair), strict=True)):
                gains.setdefault(place, []).append(own.logprob - without.logprob)
    assert len(found.by_place) == len(gains)
    for place, of in enumerate(found.by_place):
        assert of == pytest.approx(gains[place], abs=1e-4)


def test_a_single_picture_cannot_be_exchanged(tmp_path):
    data = CaptionDataset(write_set(tmp_path, "meadow", 7), [tmp_path / "meadow"])
    assert len(data.split("val")) == 1
    with pytest.raises(ValueError, match="meadow has 1 picture in 'val': needs two"):
        measure_gain(tiny_captioner(), data, "val")


def test_a_batch_of_one_has_nothing_to_exchange(dataset):
    with pytest.raises(ValueError, match="batch_size must be at least 2, got 1"):
        measure_gain(tiny_captioner(), dataset, "val", batch_size=1)


def named(captioner: Captioner, name: str) -> Captioner:
    return rebuild(captioner, replace(captioner.config, name=name))


def test_the_report_has_a_column_for_each_captioner(dataset, tmp_path):
    RED.save(tmp_path / "red.png")
    NAVY.save(tmp_path / "navy.png")
    settings = CaptioningStudySettings(
        picture=tmp_path / "red.png", other=tmp_path / "navy.png", dataset=dataset
    )
    looks, remembers = tiny_captioner(), named(tiny_captioner(kind="global"), "remembers")
    report = study_captioning([looks, remembers], settings, report_progress=lambda _: None)
    page = report.as_markdown()
    assert "remembers (global, 16 units):" in page
    assert "| the picture | " in page
    assert "| word | tiny | remembers |" in page
    assert {path.name for path in report.write(tmp_path / "out")} == {
        *("captioning.json", "captioning.md", "captioning-gain.png")
    }
    with pytest.raises(ValueError, match="different names: tiny comes 2 times"):
        study_captioning([remembers, looks, looks], settings)


def test_the_part_gain_needs_a_data_set():
    assert CaptioningStudySettings().parts == ("walk",)
    with pytest.raises(ValueError, match="the part gain needs a data set"):
        CaptioningStudySettings(("gain",))
